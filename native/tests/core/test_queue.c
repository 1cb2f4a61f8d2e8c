/* Explicit queues: tokens, what is refused, handing over, counting. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/core/fake_queue.h"

/* ------------------------------------------------------------------ tokens */

static void tokens_are_unique(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_completion done[4];
	int64_t seen[64];

	for (int round = 0; round < 16; round++) {
		int64_t *tokens = &seen[4 * round];

		for (int i = 0; i < 4; i++) {
			tokens[i] = prepare(queue, RW_READ, 512ull * i, 512);
			CHECK(tokens[i] > 0);
		}
		fake->newest_first = round & 1;
		CHECK_EQ(rw_queue_reap(queue, done, 4, 4, RW_NS_PER_S), 4);
		for (int i = 0; i < 4; i++) {
			int from = round & 1 ? 3 - i : i;

			CHECK_EQ((int64_t)done[i].token, tokens[from]);
			CHECK_EQ(done[i].user_data, 1000 + 512 * from);
		}
	}
	for (int i = 0; i < 64; i++)
		for (int j = 0; j < i; j++)
			CHECK(seen[i] != seen[j]);
	end(fake, queue);
}

/* A token stays positive when a slot has been used two thousand million times. */
static void tokens_stay_positive(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 1);
	struct rw_completion done;

	queue->slots[0].generation = INT32_MAX - 2;
	for (int i = 0; i < 5; i++) {
		int64_t token = prepare_read(queue);

		CHECK(token > 0);
		CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, RW_NS_PER_S), 1);
		CHECK_EQ((int64_t)done.token, token);
	}
	end(fake, queue);
}

/* ----------------------------------------------------------------- refusals */

static void a_full_queue_changes_nothing(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 2);
	struct rw_completion done[2];

	CHECK(prepare_read(queue) > 0);
	CHECK(prepare_read(queue) > 0);
	CHECK_EQ(prepare_read(queue), -EBUSY);
	CHECK(strstr(rw_detail(), "full"));
	CHECK_EQ(rw_queue_in_flight(queue), 2);
	CHECK_EQ(rw_buffer_holders(buffer), 3);
	CHECK_EQ(rw_queue_submit(queue), 2);
	CHECK_EQ(prepare_read(queue), -EBUSY);
	CHECK_EQ(fake->logged, 2);
	CHECK_EQ(rw_queue_reap(queue, done, 1, 1, RW_NS_PER_S), 1);
	CHECK(prepare_read(queue) > 0);
	CHECK_EQ(rw_queue_reap(queue, done, 2, 2, RW_NS_PER_S), 2);
	end(fake, queue);
}

static void a_refused_operation_changes_nothing(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 2);
	struct rw_span no_memory = { 0, 512 };
	struct rw_counters counters;

	CHECK_EQ(prepare(queue, RW_READ, 1, 512), -EINVAL);
	CHECK_EQ(prepare(queue, RW_READ, 0, 513), -EINVAL);
	CHECK_EQ(prepare(queue, RW_READ, 0, 0), -EINVAL);
	CHECK_EQ(prepare(queue, RW_READ, FAKE_SIZE, 512), -ERANGE);
	CHECK_EQ(prepare(queue, 5, 0, 512), -EINVAL);
	CHECK_EQ(rw_queue_prepare(queue, RW_READ, 0, &no_memory, 0), -EINVAL);
	fake->map_error = EFAULT;
	CHECK_EQ(prepare(queue, RW_READ, 0, 512), -EFAULT);
	CHECK_EQ(rw_queue_in_flight(queue), 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(queue->free_slot_count, 2);
	CHECK_EQ(queue->free_part_count, 2);
	CHECK_EQ(rw_queue_submit(queue), 0);
	CHECK_EQ(fake->logged, 0);
	fake->map_error = 0;
	CHECK(prepare_read(queue) > 0);
	rw_queue_counters(queue, &counters);
	CHECK_EQ(counters.operations, 0);
	end(fake, queue);
}

static void many_are_prepared_up_to_the_refused_one(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 3);
	struct rw_completion done[4];
	struct rw_op ops[5];
	int64_t tokens[5] = { -1, -1, -1, -1, -1 };

	for (uint32_t i = 0; i < 5; i++)
		ops[i] = (struct rw_op){ .offset = 512 * i, .memory = (uintptr_t)memory + 512 * i,
					 .length = 512, .user_data = i, .opcode = RW_READ };
	ops[1].flags = 1;
	CHECK_EQ(rw_queue_prepare_many(queue, ops + 1, 4, tokens), -EINVAL);
	CHECK_EQ(rw_queue_prepare_many(queue, ops, 5, tokens), 1);
	CHECK(strstr(rw_detail(), "flags"));
	CHECK(tokens[0] > 0);
	CHECK_EQ(tokens[1], -1);
	ops[1].flags = 0;
	CHECK_EQ(rw_queue_prepare_many(queue, ops + 1, 4, tokens + 1), 2);
	CHECK_EQ(rw_queue_prepare_many(queue, ops + 3, 2, tokens + 3), -EBUSY);
	CHECK_EQ(tokens[3], -1);
	CHECK_EQ(rw_queue_prepare_many(queue, ops, 0, tokens), 0);
	CHECK_EQ(rw_queue_submit(queue), 3);
	CHECK_EQ(rw_queue_reap(queue, done, 3, 4, RW_NS_PER_S), 3);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(done[i].user_data, i);
	CHECK(fake_bytes_are(memory, 0, 1536));
	end(fake, queue);
}

static void a_depth_out_of_range(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = NULL;

	CHECK_EQ(rw_queue_create(&fake->base, 0, &queue), -ERANGE);
	CHECK_EQ(rw_queue_create(&fake->base, 65, &queue), -ERANGE);
	CHECK(strstr(rw_detail(), "1 to 64"));
	fake->create_error = EMFILE;
	CHECK_EQ(rw_queue_create(&fake->base, 8, &queue), -EMFILE);
	CHECK(!queue);
	CHECK(!fake->base.queues);
	fake->create_error = 0;
	queue = fake_queue(fake, 64);
	CHECK_EQ(rw_queue_depth(queue), 64);
	end(fake, queue);
	CHECK_EQ(fake_close(fake_open(&fake_bare_path, NULL)), 0);
}

/* ------------------------------------------------- handing over and counting */

static void nothing_starts_before_submit(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 8);
	struct rw_completion done[8];
	struct rw_counters counters;

	prepare_read(queue);
	prepare(queue, RW_WRITE, 512, 3 * FAKE_MAX);
	CHECK_EQ(fake->logged, 0);
	CHECK_EQ(rw_queue_in_flight(queue), 2);
	CHECK_EQ(rw_queue_submit(queue), 2);
	CHECK_EQ(fake->logged, 4);
	CHECK_EQ(rw_queue_submit(queue), 0);
	CHECK_EQ(fake->submits, 1);
	CHECK_EQ(rw_queue_reap(queue, done, 2, 8, RW_NS_PER_S), 2);
	rw_queue_counters(queue, &counters);
	CHECK_EQ(counters.operations, 2);
	CHECK_EQ(counters.parts, 4);
	CHECK_EQ(counters.retries, 0);
	CHECK_EQ(counters.copies, 0);
	CHECK_EQ(rw_queue_in_flight(queue), 0);
	end(fake, queue);
}

/* A ring shorter than the queue takes the rest as it empties, in order. */
static void a_full_ring_is_a_short_count(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 8);
	struct rw_completion done[8];

	fake->ring = 2;
	for (uint32_t i = 0; i < 8; i++)
		CHECK(prepare(queue, RW_READ, 512 * i, 512) > 0);
	CHECK_EQ(rw_queue_submit(queue), 8);
	CHECK_EQ(fake->logged, 2);
	CHECK_EQ(rw_queue_reap(queue, done, 8, 8, RW_NS_PER_S), 8);
	CHECK_EQ(fake->most_out, 2);
	CHECK_EQ(fake->logged, 8);
	for (uint32_t i = 0; i < 8; i++) {
		CHECK_EQ(fake->log[i].offset, 512 * i);
		CHECK_EQ(done[i].result, 512);
	}
	end(fake, queue);
}

/* A path that takes nothing though nothing is out is asked again in a while, not at full speed. */
static void a_path_that_takes_nothing(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 2);
	struct rw_completion done;

	fake->full = true;
	prepare_read(queue);
	CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, 20 * RW_NS_PER_MS), 0);
	CHECK_EQ(fake->logged, 0);
	CHECK(fake->submits < 1100);
	fake->full = false;
	CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, RW_NS_PER_S), 1);
	CHECK_EQ(done.result, 512);
	end(fake, queue);
}

static void a_submit_that_fails(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 2);
	struct rw_completion done[2];

	prepare_read(queue);
	prepare_read(queue);
	fake->submit_error = ENXIO;
	CHECK_EQ(rw_queue_submit(queue), -ENXIO);
	CHECK_EQ(rw_queue_reap(queue, done, 0, 2, 0), -ENXIO);
	CHECK_EQ(rw_queue_in_flight(queue), 2);
	fake->submit_error = 0;
	CHECK_EQ(rw_queue_submit(queue), 0); /* both were asked for before */
	CHECK_EQ(rw_queue_reap(queue, done, 2, 2, RW_NS_PER_S), 2);
	end(fake, queue);
}

/* From the hand-over to the reap that takes it in, the pauses of retries included. */
static void latency_is_plausible(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 2);
	struct rw_completion done[2];
	int64_t start, took;

	fake->delay_ns = 2 * RW_NS_PER_MS;
	prepare_read(queue);
	usleep(5000); /* prepared is not handed over */
	start = rw_now_ns();
	CHECK_EQ(rw_queue_submit(queue), 1);
	usleep(1000);
	prepare_read(queue);
	CHECK_EQ(rw_queue_reap(queue, done, 2, 2, RW_NS_PER_S), 2);
	took = rw_now_ns() - start;
	CHECK(done[0].latency_ns >= 2000000 && (int64_t)done[0].latency_ns <= took);
	CHECK(done[1].latency_ns >= 2000000 && (int64_t)done[1].latency_ns <= took - 1000000);
	FAKE_SCRIPTED(fake, -EAGAIN);
	prepare_read(queue);
	CHECK_EQ(rw_queue_reap(queue, done, 1, 1, RW_NS_PER_S), 1);
	CHECK(done[0].latency_ns >= 4000000);
	end(fake, queue);
}

int main(void)
{
	make_memory();
	tokens_are_unique();
	tokens_stay_positive();
	a_full_queue_changes_nothing();
	a_refused_operation_changes_nothing();
	many_are_prepared_up_to_the_refused_one();
	a_depth_out_of_range();
	nothing_starts_before_submit();
	a_full_ring_is_a_short_count();
	a_path_that_takes_nothing();
	a_submit_that_fails();
	latency_is_plausible();
	drop_memory();
	return rw_check_end();
}
