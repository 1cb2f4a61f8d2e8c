/* Buffers: who holds them, when their memory is free, what it contains. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "tests/check.h"
#include "tests/core/fake_path.h"
#include "tests/core/pool.h"

static bool all_zero(const char *memory, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		if (memory[i])
			return false;
	return true;
}

static bool known(const void *memory, uint64_t length)
{
	struct rw_span span = span_of(memory, length);

	return rw_memory_known(&span);
}

/* --------------------------------------------------------- making, dropping */

static void lengths(void)
{
	struct rw_buffer *buffer = NULL;

	CHECK_EQ(rw_buffer_create(0, &buffer), -EINVAL);
	CHECK_EQ(rw_buffer_create(UINT64_MAX, &buffer), -EINVAL);
	/* More than any machine has: refused, and nobody is killed for it. */
	CHECK_EQ(rw_buffer_create(1ull << 46, &buffer), -ENOMEM);
	CHECK(strstr(rw_detail(), "no 70368744177664 bytes"));
	CHECK_EQ(rw_buffer_create(INT64_MAX / 2, &buffer), -ENOMEM);
	CHECK(!buffer);
	CHECK_EQ(stats().buffers, 0);
	for (uint64_t length = 1; length < 20000; length = length * 3 + 1) {
		buffer = buffer_of(length);
		CHECK_EQ(rw_buffer_length(buffer), length);
		CHECK_EQ((uintptr_t)rw_buffer_memory(buffer) % 4096, 0);
		CHECK(all_zero(rw_buffer_memory(buffer), length));
		memset(rw_buffer_memory(buffer), 0xa5, length);
		CHECK_EQ(stats().buffers, 1);
		CHECK_EQ(stats().buffer_bytes, length);
		CHECK_EQ(rw_buffer_drop(buffer), 1);
	}
	CHECK_EQ(stats().buffers, 0);
	CHECK_EQ(stats().buffer_bytes, 0);
	CHECK_EQ(stats().regions, 1);
}

static void holders(void)
{
	struct rw_buffer *buffer = buffer_of(100);

	CHECK_EQ(rw_buffer_holders(buffer), 1);
	rw_buffer_hold(buffer);
	rw_buffer_hold(buffer);
	CHECK_EQ(rw_buffer_holders(buffer), 3);
	CHECK_EQ(rw_buffer_drop(buffer), 0);
	CHECK_EQ(rw_buffer_drop(buffer), 0);
	CHECK_EQ(stats().buffers, 1);
	CHECK_EQ(rw_buffer_drop(buffer), 1);
	CHECK_EQ(stats().buffers, 0);
}

/* Memory that comes back is given out again, without what was in it. */
static void used_memory_is_zeroed(void)
{
	struct rw_buffer *first = buffer_of(8192), *second, *third;
	char *memory = rw_buffer_memory(first);

	memset(memory, 0xa5, 8192);
	rw_buffer_drop(first);
	second = buffer_of(5000);
	CHECK(rw_buffer_memory(second) == memory);
	CHECK(all_zero(memory, 5000));
	/* Half of it used before, half fresh. */
	memset(memory, 0xa5, 5000);
	rw_buffer_drop(second);
	third = buffer_of(1 << 20);
	CHECK(rw_buffer_memory(third) == memory);
	CHECK(all_zero(memory, 1 << 20));
	rw_buffer_drop(third);
}

/* First fit: a hole is filled by what fits it and passed over by what does not. */
static void holes_are_filled(void)
{
	struct rw_buffer *buffers[4], *large, *small;
	char *hole;

	for (int i = 0; i < 4; i++)
		buffers[i] = buffer_of(4096);
	hole = rw_buffer_memory(buffers[1]);
	CHECK(hole == (char *)rw_buffer_memory(buffers[0]) + 4096);
	rw_buffer_drop(buffers[1]);
	large = buffer_of(8192);
	CHECK((char *)rw_buffer_memory(large) >= (char *)rw_buffer_memory(buffers[3]) + 4096);
	small = buffer_of(1);
	CHECK(rw_buffer_memory(small) == hole);
	rw_buffer_drop(small);
	rw_buffer_drop(buffers[2]);
	small = buffer_of(8192);
	CHECK(rw_buffer_memory(small) == hole);
	rw_buffer_drop(small);
	rw_buffer_drop(large);
	rw_buffer_drop(buffers[0]);
	rw_buffer_drop(buffers[3]);
	CHECK_EQ(stats().buffers, 0);
}

/* ------------------------------------------------------------ being in flight */

static void an_operation_holds_its_buffer(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_buffer *buffer = buffer_of(8192);
	char *memory = rw_buffer_memory(buffer);
	struct rw_span span = span_of(memory + 4096, 4096);
	struct rw_completion done[2];

	fake->held = true;
	CHECK(rw_queue_prepare(queue, RW_READ, 0, &span, 0) > 0);
	CHECK_EQ(rw_buffer_holders(buffer), 2);
	CHECK(rw_queue_prepare(queue, RW_FLUSH, 0, &span, 0) > 0);
	CHECK_EQ(rw_buffer_holders(buffer), 2);
	CHECK_EQ(rw_queue_submit(queue), 2);
	/* Its owner forgets it: the memory is still not for others. */
	CHECK_EQ(rw_buffer_drop(buffer), 0);
	CHECK(known(memory, 8192));
	for (int i = 0; i < 8; i++) {
		struct rw_buffer *other = buffer_of(4096);
		char *at = rw_buffer_memory(other);

		CHECK(at + 4096 <= memory || at >= memory + 8192);
		rw_buffer_drop(other);
	}
	fake->held = false;
	CHECK_EQ(rw_queue_reap(queue, done, 2, 2, RW_NS_PER_S), 2);
	CHECK(!known(memory, 4096));
	CHECK_EQ(stats().buffers, 0);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	CHECK_EQ(fake_close(fake), 0);
}

/* Of a failed operation too, and of each of many that share it. */
static void every_completion_drops_its_hold(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 8);
	struct rw_buffer *buffer = buffer_of(8 * FAKE_MAX);
	struct rw_completion done[8];

	FAKE_SCRIPTED(fake, -EIO, FAKE_ALL, 0);
	for (uint32_t i = 0; i < 4; i++) {
		struct rw_span span = span_of((char *)rw_buffer_memory(buffer) + 512 * i, 512);

		CHECK(rw_queue_prepare(queue, RW_WRITE, 0, &span, 0) > 0);
		CHECK_EQ(rw_buffer_holders(buffer), i + 2);
	}
	for (uint32_t i = 4; i; i--) {
		CHECK_EQ(rw_queue_reap(queue, done, 1, 1, RW_NS_PER_S), 1);
		CHECK_EQ(rw_buffer_holders(buffer), i);
	}
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	CHECK_EQ(fake_close(fake), 0);
	CHECK_EQ(rw_buffer_drop(buffer), 1);
}

/* Memory of no buffer, or of two, is nobody's to hold; it works all the same. */
static void foreign_memory_is_not_held(void)
{
	static char own[1024] __attribute__((aligned(512)));
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_buffer *first = buffer_of(4096), *second = buffer_of(4096);
	char *across = (char *)rw_buffer_memory(first) + 3584;
	struct rw_span spans[2] = { span_of(own, 1024), span_of(across, 1024) };
	struct rw_completion done[2];

	CHECK(rw_buffer_memory(second) == (char *)rw_buffer_memory(first) + 4096);
	for (int i = 0; i < 2; i++)
		CHECK(rw_queue_prepare(queue, RW_READ, 512, &spans[i], 0) > 0);
	CHECK_EQ(rw_buffer_holders(first), 1);
	CHECK_EQ(rw_buffer_holders(second), 1);
	CHECK_EQ(rw_queue_reap(queue, done, 2, 2, RW_NS_PER_S), 2);
	CHECK_EQ(fake->log[0].region, -1);
	CHECK_EQ(fake->log[1].region, -1);
	CHECK(fake_bytes_are(own, 512, 1024));
	CHECK(fake_bytes_are(across, 512, 1024));
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	CHECK_EQ(fake_close(fake), 0);
	rw_buffer_drop(first);
	rw_buffer_drop(second);
}

/* A device that may still write keeps the memory for good, and only that. */
static void quarantine(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_buffer *buffer = buffer_of(4096);
	char *memory = rw_buffer_memory(buffer);
	struct rw_span span = span_of(memory, 4096);
	uint64_t before = stats().buffers;

	FAKE_SCRIPTED(fake, FAKE_NEVER);
	CHECK(rw_queue_prepare(queue, RW_READ, 0, &span, 0) > 0);
	CHECK_EQ(rw_queue_submit(queue), 1);
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_MS), -ETIME);
	CHECK_EQ(fake->closed, 1);
	CHECK_EQ(rw_buffer_holders(buffer), 2);
	CHECK_EQ(rw_buffer_drop(buffer), 0);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	rw_device_destroy(&fake->base);
	CHECK(known(memory, 4096));
	CHECK_EQ(stats().buffers, before);
}

/* ------------------------------------------------------------- registering */

static void registered_memory(void)
{
	static char own[3 * 4096];
	struct rw_memory_stats before = stats();
	struct rw_buffer *buffer = NULL, *other = NULL;

	CHECK(!known(own + 100, 1));
	CHECK_EQ(rw_buffer_register(NULL, 100, &buffer), -EINVAL);
	CHECK_EQ(rw_buffer_register(own, 0, &buffer), -EINVAL);
	CHECK_EQ(rw_buffer_register(own, UINT64_MAX, &buffer), -EINVAL);
	/* Any address, any length. */
	CHECK_EQ(rw_buffer_register(own + 100, 5001, &buffer), 0);
	CHECK(rw_buffer_memory(buffer) == own + 100);
	CHECK_EQ(rw_buffer_length(buffer), 5001);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK(known(own + 100, 5001));
	CHECK(known(own + 5100, 1));
	CHECK(!known(own + 99, 1));
	CHECK(!known(own + 5101, 1));
	CHECK(!known(own + 100, 5002));
	CHECK_EQ(stats().buffers, before.buffers + 1);
	CHECK_EQ(stats().buffer_bytes, before.buffer_bytes + 5001);
	CHECK_EQ(stats().regions, before.regions);
	CHECK_EQ(rw_buffer_register(own, 101, &other), -EEXIST);
	CHECK(!other);
	CHECK_EQ(rw_buffer_drop(buffer), 1);
	CHECK(!known(own + 100, 1));
	CHECK_EQ(stats().buffers, before.buffers);
	CHECK_EQ(rw_buffer_register(own, 101, &other), 0);
	CHECK_EQ(rw_buffer_drop(other), 1);
}

/* A child gets buffers of its own; its parent's memory is not shared out again. */
static int in_child(const char *parents)
{
	struct rw_buffer *buffer = buffer_of(4096);
	char *memory = rw_buffer_memory(buffer);

	CHECK(memory + 4096 <= parents || memory >= parents + 4096);
	memset(memory, 0x5a, 4096);
	CHECK_EQ(rw_buffer_drop(buffer), 1);
	return rw_failures;
}

static void after_a_fork(void)
{
	struct rw_buffer *buffer = buffer_of(4096), *other;
	char *memory = rw_buffer_memory(buffer);
	int status = -1;
	pid_t child;

	memset(memory, 0xa5, 4096);
	child = fork();
	if (!child) {
		rw_failures = 0;
		_exit(in_child(memory) ? 1 : 0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	other = buffer_of(4096);
	CHECK(all_zero(rw_buffer_memory(other), 4096));
	for (int i = 0; i < 4096; i++)
		CHECK_EQ((unsigned char)memory[i], 0xa5);
	rw_buffer_drop(other);
	rw_buffer_drop(buffer);
}

int main(void)
{
	lengths();
	holders();
	used_memory_is_zeroed();
	holes_are_filled();
	an_operation_holds_its_buffer();
	every_completion_drops_its_hold();
	foreign_memory_is_not_held();
	quarantine();
	registered_memory();
	after_a_fork();
	return rw_check_end();
}
