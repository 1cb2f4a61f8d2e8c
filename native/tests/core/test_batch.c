/* Batches: what is refused, results at their places, depth, parts. */
#include "tests/core/fake_batch.h"

/* ------------------------------------------------------------------ refusals */

static int refused(struct fake_device *fake, struct rw_batch batch)
{
	int error = rw_batch_run(&fake->base, &batch, RW_NS_PER_S);

	CHECK_EQ(batch.next, 0);
	CHECK_EQ(fake->logged, 0);
	CHECK_EQ(result[0], -1);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	return error;
}

static void refused_batches_start_nothing(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch;

	batch = batch_of(8, 4);
	batch.opcode = RW_FLUSH;
	CHECK_EQ(refused(fake, batch), -EINVAL);
	batch.opcode = 17;
	CHECK_EQ(refused(fake, batch), -EINVAL);
	batch = batch_of(8, 4);
	batch.result = NULL;
	CHECK_EQ(refused(fake, batch), -EINVAL);
	CHECK_EQ(refused(fake, batch_of(8, 0)), -ERANGE);
	CHECK_EQ(refused(fake, batch_of(8, 65)), -ERANGE);
	batch = batch_of(8, 4);
	batch.memory.length = 8 * BS - 1;
	CHECK_EQ(refused(fake, batch), -ERANGE);
	CHECK(strstr(rw_detail(), "8 blocks of 512 bytes do not fit a buffer of 4095"));
	batch = batch_of(8, 4);
	batch.bs = UINT64_MAX / 4;
	CHECK_EQ(refused(fake, batch), -ERANGE);
	batch.bs = 0;
	CHECK_EQ(refused(fake, batch), -EINVAL);
	batch.bs = 100;
	CHECK_EQ(refused(fake, batch), -EINVAL);
	batch = batch_of(8, 4);
	batch.memory.memory += 8;
	CHECK_EQ(refused(fake, batch), -EINVAL);
	batch = batch_of(8, 4);
	batch.memory.memory = 0;
	CHECK_EQ(refused(fake, batch), -EINVAL);
	CHECK(strstr(rw_detail(), "no memory"));
	fake->map_error = ENOSPC;
	CHECK_EQ(refused(fake, batch_of(8, 4)), -ENOSPC);
	fake->map_error = 0;
	fake->create_error = EMFILE;
	CHECK_EQ(refused(fake, batch_of(8, 40)), -EMFILE);
	end(fake);
}

/* One wrong offset among many: it is named, and none is started. */
static void the_wrong_offset_is_named(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(100, 4);

	offsets[99] = 100;
	CHECK_EQ(refused(fake, batch), -EINVAL);
	CHECK(strstr(rw_detail(), "offset 100 is misaligned"));
	CHECK(strstr(rw_detail(), "operation 99 of 100; none was started"));
	offsets[50] = FAKE_SIZE;
	CHECK_EQ(refused(fake, batch), -ERANGE);
	CHECK(strstr(rw_detail(), "operation 50 of 100"));
	offsets[20] = -BS;
	CHECK_EQ(refused(fake, batch), -ERANGE);
	CHECK(strstr(rw_detail(), "operation 20 of 100"));
	batch.opcode = RW_WRITE;
	fake->base.info.writable = false;
	CHECK_EQ(refused(fake, batch), -EROFS);
	end(fake);
}

/* Memory more finely aligned than a block only has to be so where it is used. */
static void a_single_block_in_odd_memory(void)
{
	struct rw_device_info info = fake_info();
	struct fake_device *fake;
	struct rw_batch batch;

	info.memory_alignment = 1024;
	fake = fake_open(&fake_path, &info);
	batch = batch_of(1, 4);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0);
	check_complete(&batch);
	fake_script(fake, 0, NULL);
	CHECK_EQ(refused(fake, batch_of(2, 4)), -EINVAL);
	CHECK(strstr(rw_detail(), "operation 1 of 2"));
	end(fake);
}

static void an_empty_batch(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(0, 4);

	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0);
	batch.memory = (struct rw_span){ 0, 0 };
	batch.bs = 0;
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0);
	CHECK_EQ(fake->logged, 0);
	end(fake);
}

/* ------------------------------------------------------------------- running */

static void results_are_at_their_places(void)
{
	static const struct rw_path *const paths[] = { &fake_path, &fake_sync_path };

	for (int i = 0; i < 4; i++) {
		struct fake_device *fake = fake_open(paths[i / 2], NULL);
		struct rw_batch batch = batch_of(MOST, 16);

		fake->newest_first = i & 1;
		fake->ring = i & 1 ? 3 : 0;
		FAKE_SCRIPTED(fake, FAKE_ALL, -EAGAIN, FAKE_ALL, -EINTR);
		CHECK_EQ(rw_batch_run(&fake->base, &batch, 10 * RW_NS_PER_S), 0);
		check_complete(&batch);
		CHECK_EQ(fake->logged, MOST + 2);
		CHECK_EQ(fake->most_out, i & 1 ? 3 : 16);
		end(fake);
	}
}

static void failures_are_results(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(8, 4);

	batch.latency = NULL;
	FAKE_SCRIPTED(fake, FAKE_ALL, -EIO, FAKE_ALL, 0, 100);
	fake->newest_first = true;
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0);
	CHECK_EQ(batch.done, 8);
	CHECK_EQ(batch.failed, 3);
	for (int i = 0; i < 8; i++)
		if (i != 1 && i != 3 && result[i] != -ENODATA)
			CHECK_EQ(result[i], BS);
	CHECK_EQ(result[1], -EIO);
	CHECK_EQ(result[3], -ENODATA);
	CHECK_EQ(latency[0], -1);
	end(fake);
}

static void depth_is_respected(void)
{
	for (uint32_t depth = 1; depth <= 64; depth *= 4) {
		struct fake_device *fake = fake_open(&fake_path, NULL);
		struct rw_batch batch = batch_of(200, depth);

		fake->delay_ns = 20000;
		CHECK_EQ(rw_batch_run(&fake->base, &batch, 10 * RW_NS_PER_S), 0);
		check_complete(&batch);
		CHECK_EQ(fake->most_out, depth);
		end(fake);
	}
}

/* A deeper one later gets a deeper queue, a shallower one keeps what there is. */
static void one_queue_for_all(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	static const uint32_t depths[] = { 4, 32, 33, 64, 8 };

	for (int i = 0; i < 5; i++) {
		struct rw_batch batch = batch_of(100, depths[i]);

		fake->most_out = 0;
		CHECK_EQ(rw_batch_run(&fake->base, &batch, 10 * RW_NS_PER_S), 0);
		check_complete(&batch);
		CHECK_EQ(fake->most_out, depths[i]);
	}
	CHECK_EQ(fake->queues_made, 3);
	CHECK_EQ(fake->queues_destroyed, 2);
	end(fake);
}

/* Each operation in parts, more of them than the queue is deep. */
static void split_operations(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(8, 4);
	uint64_t bs = 4 * FAKE_MAX;

	fake->newest_first = true;
	batch.bs = bs;
	batch.memory.length = 8 * bs;
	for (uint64_t i = 0; i < 8; i++)
		offsets[i] = (int64_t)((7 - i) * bs);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0);
	for (uint64_t i = 0; i < 8; i++) {
		CHECK_EQ(result[i], (int64_t)bs);
		CHECK(fake_bytes_are(memory + i * bs, (7 - i) * bs, bs));
	}
	CHECK_EQ(fake->logged, 32);
	end(fake);
}

int main(void)
{
	begin_batches();
	refused_batches_start_nothing();
	the_wrong_offset_is_named();
	a_single_block_in_odd_memory();
	an_empty_batch();
	results_are_at_their_places();
	failures_are_results();
	depth_is_respected();
	one_queue_for_all();
	split_operations();
	return end_batches();
}
