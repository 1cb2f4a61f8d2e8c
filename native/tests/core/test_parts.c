/* Operations in parts: splitting, waiting for a part, short transfers, retries, failures. */
#include <errno.h>
#include <string.h>

#include "core/clock.h"
#include "tests/check.h"
#include "tests/core/fake_path.h"

static struct rw_buffer *buffer;
static char *memory;

static int64_t prepare(struct rw_queue *queue, uint32_t opcode, uint64_t offset, uint64_t length)
{
	struct rw_span span = span_of(memory, length);

	return rw_queue_prepare(queue, opcode, offset, &span, 0);
}

/* The one completion of a queue with one operation. */
static struct rw_completion finish(struct rw_queue *queue)
{
	struct rw_completion done = { .result = -ETIME };

	CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, RW_NS_PER_S), 1);
	CHECK_EQ(rw_queue_in_flight(queue), 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	return done;
}

static int64_t transfer(struct rw_queue *queue, uint32_t opcode, uint64_t offset, uint64_t length)
{
	CHECK(prepare(queue, opcode, offset, length) > 0);
	return finish(queue).result;
}

static bool logged(const struct fake_device *fake, uint32_t at, uint64_t offset, uint32_t length,
		   uint64_t from_memory)
{
	const struct rw_part *part = &fake->log[at];

	return part->offset == offset && part->length == length &&
	       part->memory == (uintptr_t)memory + from_memory;
}

static void end(struct fake_device *fake, struct rw_queue *queue)
{
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	CHECK_EQ(fake_close(fake), 0);
}

/* --------------------------------------------------------------- splitting */

static void splits_at_the_limit(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 8);
	struct rw_counters counters;

	memset(memory, 0, 5 * FAKE_MAX);
	CHECK_EQ(transfer(queue, RW_READ, 1024, 3 * FAKE_MAX + 512), 3 * FAKE_MAX + 512);
	CHECK_EQ(fake->logged, 4);
	CHECK(logged(fake, 0, 1024, FAKE_MAX, 0));
	CHECK(logged(fake, 1, 1024 + FAKE_MAX, FAKE_MAX, FAKE_MAX));
	CHECK(logged(fake, 2, 1024 + 2 * FAKE_MAX, FAKE_MAX, 2 * FAKE_MAX));
	CHECK(logged(fake, 3, 1024 + 3 * FAKE_MAX, 512, 3 * FAKE_MAX));
	CHECK(fake_bytes_are(memory, 1024, 3 * FAKE_MAX + 512));
	CHECK_EQ(memory[3 * FAKE_MAX + 512], 0);
	for (uint32_t i = 0; i < 4; i++) {
		CHECK_EQ(fake->log[i].opcode, RW_READ);
		CHECK(fake->log[i].region >= 0);
		CHECK_EQ(fake->log[i].retried, 0);
	}
	rw_queue_counters(queue, &counters);
	CHECK_EQ(counters.operations, 1);
	CHECK_EQ(counters.parts, 4);
	CHECK_EQ(counters.retries, 0);
	end(fake, queue);
}

static void parts_of_exactly_the_limit(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 8);

	CHECK_EQ(transfer(queue, RW_WRITE, 0, FAKE_MAX), FAKE_MAX);
	CHECK_EQ(fake->logged, 1);
	CHECK_EQ(transfer(queue, RW_WRITE, 0, 2 * FAKE_MAX), 2 * FAKE_MAX);
	CHECK_EQ(fake->logged, 3);
	CHECK_EQ(transfer(queue, RW_DISCARD, 0, 2 * FAKE_MAX), 2 * FAKE_MAX);
	CHECK_EQ(fake->logged, 5);
	CHECK_EQ(fake->log[4].memory, 0);
	CHECK_EQ(fake->log[4].region, -1);
	end(fake, queue);
}

/* More parts than the queue is deep wait for one that comes back. */
static void more_parts_than_depth(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 3);

	memset(memory, 0, 20 * FAKE_MAX);
	fake->newest_first = true;
	CHECK_EQ(transfer(queue, RW_READ, 0, 20 * FAKE_MAX), 20 * FAKE_MAX);
	CHECK_EQ(fake->logged, 20);
	CHECK_EQ(fake->most_out, 3);
	for (uint32_t i = 0; i < 20; i++)
		CHECK(logged(fake, i, i * FAKE_MAX, FAKE_MAX, i * FAKE_MAX));
	CHECK(fake_bytes_are(memory, 0, 20 * FAKE_MAX));
	end(fake, queue);
}

/* Two large ones and a flush behind them share the parts; all come to their end. */
static void several_wait_for_parts(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_completion done[4];
	int64_t tokens[4];
	struct rw_span second = span_of(memory + 8 * FAKE_MAX, 7 * FAKE_MAX);
	struct rw_span small = span_of(memory + 15 * FAKE_MAX, 512);

	memset(memory, 0, 16 * FAKE_MAX);
	tokens[0] = prepare(queue, RW_READ, 0, 8 * FAKE_MAX);
	tokens[1] = rw_queue_prepare(queue, RW_READ, 8 * FAKE_MAX, &second, 1);
	tokens[2] = prepare(queue, RW_FLUSH, 0, 0);
	tokens[3] = rw_queue_prepare(queue, RW_READ, 15 * FAKE_MAX, &small, 3);
	CHECK_EQ(rw_queue_reap(queue, done, 4, 4, RW_NS_PER_S), 4);
	for (int i = 0; i < 4; i++) {
		static const int64_t expected[] = { 8 * FAKE_MAX, 7 * FAKE_MAX, 0, 512 };

		for (int j = 0; j < 4; j++)
			if ((int64_t)done[i].token == tokens[j])
				CHECK_EQ(done[i].result, expected[j]);
	}
	CHECK(fake_bytes_are(memory, 0, 15 * FAKE_MAX + 512));
	CHECK_EQ(fake->logged, 17);
	CHECK_EQ(fake->most_out, 4);
	end(fake, queue);
}

/* ---------------------------------------------------- short transfers, ends */

static void goes_on_after_a_short_transfer(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_counters counters;

	memset(memory, 0, 2 * FAKE_MAX);
	FAKE_SCRIPTED(fake, 1024, FAKE_ALL, 512);
	CHECK_EQ(transfer(queue, RW_READ, 4096, 2 * FAKE_MAX), 2 * FAKE_MAX);
	CHECK_EQ(fake->logged, 4);
	CHECK(logged(fake, 2, 4096 + 1024, FAKE_MAX - 1024, 1024));
	CHECK(logged(fake, 3, 4096 + 1536, FAKE_MAX - 1536, 1536));
	CHECK(fake_bytes_are(memory, 4096, 2 * FAKE_MAX));
	rw_queue_counters(queue, &counters);
	CHECK_EQ(counters.operations, 1);
	CHECK_EQ(counters.retries, 2);
	CHECK_EQ(counters.parts, 4);
	end(fake, queue);
}

/* A device does not end inside a block, nor move nothing before its end: the file shrank. */
static void impossible_short_transfers(void)
{
	static const int64_t results[] = { 0, 100, 1024 + 100 };
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);

	for (uint32_t i = 0; i < 3; i++) {
		fake_script(fake, 1, &results[i]);
		CHECK_EQ(transfer(queue, RW_READ, 4096, 2048), -ENODATA);
		CHECK_EQ(fake->logged, 1);
		fake_script(fake, 1, &results[i]);
		CHECK_EQ(transfer(queue, RW_WRITE, 4096, 2048), -EIO);
		fake_script(fake, 1, &results[i]);
		CHECK_EQ(transfer(queue, RW_WRITE_ZEROES, 4096, 2048), -EIO);
	}
	end(fake, queue);
}

static void the_device_ends_inside_its_last_block(void)
{
	struct rw_device_info info = fake_info();
	struct fake_device *fake;
	struct rw_queue *queue;

	info.size = 3 * FAKE_MAX + 100;
	fake = fake_open(&fake_path, &info);
	queue = fake_queue(fake, 4);
	memset(memory, 0, 2 * FAKE_MAX);
	CHECK_EQ(transfer(queue, RW_READ, 3 * FAKE_MAX, 512), 100);
	CHECK(fake_bytes_are(memory, 3 * FAKE_MAX, 100));
	CHECK_EQ(memory[100], 0);
	CHECK_EQ(transfer(queue, RW_READ, 2 * FAKE_MAX, FAKE_MAX + 512), FAKE_MAX + 100);
	/* A short transfer first, then the tail. */
	FAKE_SCRIPTED(fake, 512);
	CHECK_EQ(transfer(queue, RW_READ, 2 * FAKE_MAX + 512, FAKE_MAX), FAKE_MAX - 512 + 100);
	CHECK_EQ(fake->logged, 2);
	CHECK_EQ(prepare(queue, RW_READ, 3 * FAKE_MAX + 512, 512), -ERANGE);
	CHECK_EQ(prepare(queue, RW_READ, 3 * FAKE_MAX, 1024), -ERANGE);
	end(fake, queue);
}

/* --------------------------------------------------------- retries, failures */

static void tries_again_after_eagain(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_counters counters;
	int64_t start = rw_now_ns(), took;

	memset(memory, 0, FAKE_MAX);
	FAKE_SCRIPTED(fake, -EAGAIN, -EINTR, -EAGAIN, 512, -EAGAIN);
	CHECK_EQ(transfer(queue, RW_READ, 0, FAKE_MAX), FAKE_MAX);
	took = rw_now_ns() - start;
	CHECK_EQ(fake->logged, 6);
	CHECK_EQ(fake->log[1].retried, 1);
	CHECK_EQ(fake->log[3].retried, 3);
	CHECK_EQ(fake->log[4].retried, 0); /* it moved on meanwhile */
	CHECK_EQ(fake->log[5].retried, 1);
	CHECK(logged(fake, 5, 512, FAKE_MAX - 512, 512));
	CHECK(fake_bytes_are(memory, 0, FAKE_MAX));
	rw_queue_counters(queue, &counters);
	CHECK_EQ(counters.retries, 5);
	/* Pauses of 40, 80, 160 and 40 us lie between. */
	CHECK(took >= 320000);
	end(fake, queue);
}

/* A device that never has room: tried less and less often, until the deadline and no longer. */
static void backs_off_until_the_deadline(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_completion done;
	int64_t start = rw_now_ns();

	fake->otherwise = -EAGAIN;
	CHECK(prepare(queue, RW_READ, 0, FAKE_MAX) > 0);
	CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, 30 * RW_NS_PER_MS), 0);
	CHECK(rw_now_ns() - start >= 30 * RW_NS_PER_MS);
	CHECK(rw_now_ns() - start < 5 * RW_NS_PER_S);
	CHECK(fake->logged <= 20);
	CHECK_EQ(rw_queue_in_flight(queue), 1);
	/* And it can still succeed. */
	fake->otherwise = FAKE_ALL;
	CHECK_EQ(finish(queue).result, FAKE_MAX);
	end(fake, queue);
}

static void the_first_failure_wins(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 2);
	struct rw_completion done;

	/* Of ten parts two are out when the first fails: the other eight are never carved. */
	FAKE_SCRIPTED(fake, -EIO, -ENOSPC);
	CHECK(prepare(queue, RW_WRITE, 0, 10 * FAKE_MAX) > 0);
	done = finish(queue);
	CHECK_EQ(done.result, -EIO);
	CHECK_EQ(done.status, 77);
	CHECK_EQ(done.opcode, RW_WRITE);
	CHECK_EQ(fake->logged, 2);
	/* The failure in the middle; what is out besides is waited for. */
	FAKE_SCRIPTED(fake, FAKE_ALL, FAKE_ALL, -EIO, FAKE_ALL);
	CHECK_EQ(transfer(queue, RW_READ, 0, 10 * FAKE_MAX), -EIO);
	CHECK_EQ(fake->logged, 4);
	/* The queue is whole again. */
	CHECK_EQ(transfer(queue, RW_READ, 0, 10 * FAKE_MAX), 10 * FAKE_MAX);
	CHECK_EQ(queue->free_part_count, 2);
	CHECK_EQ(queue->free_slot_count, 2);
	end(fake, queue);
}

/* A failed one leaves the waiting list from its head, its middle and its tail. */
static void failures_leave_the_waiting_list(void)
{
	for (uint32_t victim = 0; victim < 3; victim++) {
		struct fake_device *fake = fake_open(&fake_path, NULL);
		struct rw_queue *queue = fake_queue(fake, 6);
		struct rw_completion done[3];
		int64_t script[6] = { FAKE_ALL, FAKE_ALL, FAKE_ALL, FAKE_ALL, FAKE_ALL, FAKE_ALL };
		int64_t tokens[3];

		script[victim] = -EIO;
		fake_script(fake, 6, script);
		/* One part each, all of the same round: then all three wait in line. */
		queue->free_part_count = 1;
		tokens[0] = prepare(queue, RW_READ, 0, 4 * FAKE_MAX);
		queue->free_part_count = 1;
		queue->free_parts[0] = 1;
		tokens[1] = prepare(queue, RW_READ, 0, 4 * FAKE_MAX);
		queue->free_part_count = 1;
		queue->free_parts[0] = 2;
		tokens[2] = prepare(queue, RW_READ, 0, 4 * FAKE_MAX);
		CHECK_EQ(queue->ready_count, 3);
		queue->free_part_count = 0;
		CHECK_EQ(rw_queue_reap(queue, done, 3, 3, RW_NS_PER_S), 3);
		CHECK_EQ((int64_t)done[0].token, tokens[victim]);
		CHECK_EQ(done[0].result, -EIO);
		CHECK_EQ(done[1].result, 4 * FAKE_MAX);
		CHECK_EQ(done[2].result, 4 * FAKE_MAX);
		CHECK_EQ(queue->waiting_head, UINT32_MAX);
		CHECK_EQ(fake->logged, 9);
		end(fake, queue);
	}
}

static void a_flush_has_no_length(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 2);

	CHECK_EQ(transfer(queue, RW_FLUSH, 12345, 678), 0);
	CHECK_EQ(fake->logged, 1);
	CHECK_EQ(fake->log[0].length, 0);
	CHECK_EQ(fake->log[0].opcode, RW_FLUSH);
	FAKE_SCRIPTED(fake, -EAGAIN, -EIO);
	CHECK_EQ(transfer(queue, RW_FLUSH, 0, 0), -EIO);
	CHECK_EQ(fake->logged, 2);
	end(fake, queue);
}

/* ---------------------------------------------------------------- cancelling */

/* Abandoned are three: one out, one ready behind a full ring, one not carved at all. */
static void abandoning_cancels_what_no_path_has(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 3);
	struct rw_completion done;

	fake->ring = 1;
	fake->held = true;
	CHECK(prepare(queue, RW_WRITE, 0, 2 * FAKE_MAX) > 0);
	CHECK(prepare(queue, RW_WRITE, 0, 3 * FAKE_MAX) > 0);
	CHECK(prepare(queue, RW_FLUSH, 0, 0) > 0);
	CHECK_EQ(rw_queue_submit(queue), 3);
	CHECK_EQ(fake->logged, 1);
	CHECK_EQ(rw_buffer_holders(buffer), 3);
	rw_queue_abandon(queue);
	CHECK_EQ(rw_queue_in_flight(queue), 1);
	CHECK_EQ(rw_buffer_holders(buffer), 2);
	CHECK_EQ(queue->waiting_head, UINT32_MAX);
	CHECK_EQ(queue->ready_count, 0);
	fake->held = false;
	CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, RW_NS_PER_S), 0);
	CHECK_EQ(rw_queue_in_flight(queue), 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(fake->logged, 1);
	CHECK_EQ(queue->free_part_count, 3);
	CHECK_EQ(queue->free_slot_count, 3);
	end(fake, queue);
}

/* A part by itself, without a queue. */
static void advancing(void)
{
	struct rw_device_info info = fake_info();
	struct rw_part part = { .offset = 512, .memory = 4096, .length = 2048 };

	CHECK_EQ(rw_part_advance(&info, &part, 1024), 1);
	CHECK_EQ(part.offset, 1536);
	CHECK_EQ(part.memory, 5120);
	CHECK_EQ(part.length, 1024);
	for (int i = 1; i < 300; i++) {
		CHECK_EQ(rw_part_advance(&info, &part, -EAGAIN), 1);
		CHECK_EQ(part.retried, i < UINT8_MAX ? i : UINT8_MAX);
	}
	CHECK_EQ(rw_part_advance(&info, &part, -EIO), -EIO);
	CHECK_EQ(part.offset, 1536);
	CHECK_EQ(rw_part_advance(&info, &part, 1024), 0);
	CHECK_EQ(part.length, 0);
}

int main(void)
{
	CHECK_EQ(rw_buffer_create(32 * FAKE_MAX, &buffer), 0);
	memory = rw_buffer_memory(buffer);
	splits_at_the_limit();
	parts_of_exactly_the_limit();
	more_parts_than_depth();
	several_wait_for_parts();
	goes_on_after_a_short_transfer();
	impossible_short_transfers();
	the_device_ends_inside_its_last_block();
	tries_again_after_eagain();
	backs_off_until_the_deadline();
	the_first_failure_wins();
	failures_leave_the_waiting_list();
	a_flush_has_no_length();
	abandoning_cancels_what_no_path_has();
	advancing();
	CHECK_EQ(rw_buffer_drop(buffer), 1);
	return rw_check_end();
}
