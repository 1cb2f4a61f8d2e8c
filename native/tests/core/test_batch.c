/* Batches: what is refused, slices, signals, results at their places, depth, giving up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "tests/check.h"
#include "tests/core/fake_path.h"

enum { BS = 512, MOST = 512 };

static struct rw_buffer *buffer;
static char *memory;
static int64_t offsets[MOST], result[MOST], latency[MOST];

/* Reads of blocks all over the device, none twice. */
static struct rw_batch batch_of(uint64_t count, uint32_t depth)
{
	for (uint64_t i = 0; i < MOST; i++) {
		offsets[i] = (int64_t)(i * 7 % MOST) * BS * 4;
		result[i] = latency[i] = -1;
	}
	memset(memory, 0, MOST * BS);
	return (struct rw_batch){
		.offsets = offsets,
		.count = count,
		.bs = BS,
		.memory = span_of(memory, MOST * BS),
		.opcode = RW_READ,
		.depth = depth,
		.result = result,
		.latency = latency,
	};
}

static bool data_is_right(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (!fake_bytes_are(memory + i * BS, (uint64_t)offsets[i], BS))
			return false;
	return true;
}

static void check_complete(const struct rw_batch *batch)
{
	CHECK_EQ(batch->next, batch->count);
	CHECK_EQ(batch->done, batch->count);
	CHECK_EQ(batch->failed, 0);
	for (uint64_t i = 0; i < batch->count; i++) {
		CHECK_EQ(result[i], BS);
		CHECK(latency[i] >= 0 && latency[i] < RW_NS_PER_S);
	}
	CHECK(data_is_right(batch->count));
	CHECK_EQ(rw_buffer_holders(buffer), 1);
}

static void end(struct fake_device *fake)
{
	CHECK_EQ(fake_close(fake), 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
}

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

/* ---------------------------------------------------- slices, signals, giving up */

static void slices_go_on_where_they_were(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(60, 4);
	int slices = 0, code;

	fake->delay_ns = 500000;
	do {
		uint64_t before = batch.done;
		int64_t start = rw_now_ns();

		code = rw_batch_run(&fake->base, &batch, RW_NS_PER_MS);
		CHECK(rw_now_ns() - start < 5 * RW_NS_PER_S);
		CHECK(batch.done >= before && batch.next - batch.done <= 4);
		slices++;
	} while (code == -EAGAIN && slices < 1000);
	CHECK_EQ(code, 0);
	CHECK(slices > 2);
	CHECK_EQ(fake->logged, 60);
	check_complete(&batch);
	end(fake);
}

static void signals_and_going_on(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(60, 4), other = batch;
	int signals = 0, code;

	fake->delay_ns = 100000;
	fake->interruptions = 5;
	while ((code = rw_batch_run(&fake->base, &batch, RW_NS_PER_S)) == -EINTR) {
		signals++;
		/* A handler's own batch would take this one's completions. */
		CHECK_EQ(rw_batch_run(&fake->base, &other, RW_NS_PER_S), -EBUSY);
		CHECK_EQ(other.next, 0);
	}
	CHECK_EQ(code, 0);
	CHECK_EQ(signals, 5);
	CHECK_EQ(fake->logged, 60);
	check_complete(&batch);
	end(fake);
}

static void abandoned_and_used_again(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(100, 8);
	struct rw_buffer *lost;

	CHECK_EQ(rw_buffer_create(100 * BS, &lost), 0);
	batch.memory = span_of(rw_buffer_memory(lost), 100 * BS);
	FAKE_SCRIPTED(fake, FAKE_ALL, FAKE_NEVER, FAKE_NEVER, FAKE_NEVER, FAKE_ALL);
	fake->interruptions = 1;
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0 - EINTR);
	CHECK_EQ(rw_device_abandon(&fake->base, RW_NS_PER_MS), 3);
	CHECK_EQ(rw_buffer_holders(lost), 4);
	CHECK_EQ(rw_buffer_drop(lost), 0);
	/* A new batch is not given what belonged to the old one, early or late. */
	batch = batch_of(100, 8);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0);
	check_complete(&batch);
	fake->released = true;
	batch = batch_of(100, 8);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0);
	check_complete(&batch);
	CHECK_EQ(rw_device_abandon(&fake->base, 0), 0);
	end(fake);
}

/* A deeper queue replaces one that still has something in flight: that one stays to land it. */
static void a_deeper_queue_beside_a_busy_one(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(8, 8);

	FAKE_SCRIPTED(fake, FAKE_NEVER);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_MS), -EAGAIN);
	CHECK_EQ(rw_device_abandon(&fake->base, 0), 1);
	batch = batch_of(100, 64);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0);
	CHECK_EQ(batch.done, 100);
	CHECK_EQ(fake->queues_made, 2);
	CHECK_EQ(fake->queues_destroyed, 0);
	CHECK_EQ(rw_buffer_holders(buffer), 2);
	fake->released = true;
	end(fake);
}

static void a_failing_path(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(100, 8);

	fake->submit_error = ENXIO;
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), -ENXIO);
	fake->submit_error = 0;
	CHECK_EQ(rw_device_abandon(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(fake->logged, 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_S), 0);
	batch = batch_of(100, 8);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), -EBADF);
	rw_device_destroy(&fake->base);
}

static void beginning(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(0, 0);
	struct rw_span span = span_of(memory, 64 * BS);
	int64_t out[2 * 64];

	memset(&batch, 0xff, sizeof(batch));
	CHECK_EQ(rw_batch_begin(&fake->base, &batch, RW_READ, offsets, 64, BS, &span, 16, out), 0);
	CHECK_EQ(batch.done, 64);
	for (int i = 0; i < 64; i++) {
		CHECK_EQ(out[i], BS);
		CHECK(out[64 + i] >= 0 && out[64 + i] < RW_NS_PER_S);
	}
	CHECK(data_is_right(64));
	fake->held = true;
	CHECK_EQ(rw_batch_begin(&fake->base, &batch, RW_READ, offsets, 64, BS, &span, 16, out), -EAGAIN);
	fake->held = false;
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_SLICE_NS), 0);
	CHECK_EQ(batch.done, 64);
	end(fake);
}

int main(void)
{
	CHECK_EQ(rw_buffer_create(MOST * BS, &buffer), 0);
	memory = rw_buffer_memory(buffer);
	refused_batches_start_nothing();
	the_wrong_offset_is_named();
	a_single_block_in_odd_memory();
	an_empty_batch();
	results_are_at_their_places();
	failures_are_results();
	depth_is_respected();
	one_queue_for_all();
	split_operations();
	slices_go_on_where_they_were();
	signals_and_going_on();
	abandoned_and_used_again();
	a_deeper_queue_beside_a_busy_one();
	a_failing_path();
	beginning();
	CHECK_EQ(rw_buffer_drop(buffer), 1);
	return rw_check_end();
}
