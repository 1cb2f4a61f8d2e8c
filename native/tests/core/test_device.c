/* Devices: what they say of themselves, what they refuse, how they close. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "tests/check.h"
#include "tests/core/fake_path.h"

static char memory[2 * FAKE_MAX] __attribute__((aligned(4096)));

static int64_t transfer(struct fake_device *fake, uint32_t opcode, uint64_t offset, uint64_t length)
{
	struct rw_span span = span_of(memory, length);

	return rw_device_transfer(&fake->base, opcode, offset, &span, RW_NS_PER_S);
}

/* ------------------------------------------------------------- facts, refusals */

static void what_it_says(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct fake_device *sync = fake_open(&fake_sync_path, NULL);
	struct rw_device_info info;

	rw_device_info(&fake->base, &info);
	CHECK_EQ(info.size, FAKE_SIZE);
	CHECK_EQ(info.block_size, 512);
	CHECK(!strcmp(info.path, "fake"));
	CHECK(!strcmp(info.target, "fake:1MiB"));
	CHECK(!strcmp(info.why, ""));
	CHECK(info.has_event_fd);
	CHECK(!info.synchronous);
	rw_device_info(&sync->base, &info);
	CHECK(!info.has_event_fd);
	CHECK(info.synchronous);
	CHECK(fake->base.serial != sync->base.serial);
	CHECK_EQ(fake_close(sync), 0);
	CHECK_EQ(fake_close(fake), 0);
}

static void check_refusal(const struct fake_device *fake, struct rw_op op, int code,
			  const char *text)
{
	CHECK_EQ(rw_device_check(&fake->base, &op), -code);
	if (strstr(rw_detail(), text))
		return;
	fprintf(stderr, "\"%s\" does not say \"%s\"\n", rw_detail(), text);
	CHECK(!"the refusal says why");
}

static void refusals_say_why(void)
{
	const struct rw_op good = { 512, 4096, 1024, 0, RW_WRITE, 0 };
	struct rw_device_info info = fake_info();
	struct fake_device *fake = fake_open(&fake_path, NULL), *poor;
	struct rw_op op = good;

	CHECK_EQ(rw_device_check(&fake->base, &good), 0);
	check_refusal(fake, (op = good, op.opcode = 5, op), EINVAL, "no operation 5");
	check_refusal(fake, (op = good, op.opcode = UINT32_MAX, op), EINVAL, "no operation");
	check_refusal(fake, (op = good, op.flags = 1, op), EINVAL, "flags must be 0");
	check_refusal(fake, (op = good, op.length = 0, op), EINVAL, "zero bytes");
	check_refusal(fake, (op = good, op.offset = 513, op), EINVAL, "multiple of 512");
	check_refusal(fake, (op = good, op.length = 100, op), EINVAL, "length 100 is misaligned");
	check_refusal(fake, (op = good, op.memory = 0, op), EINVAL, "no memory");
	check_refusal(fake, (op = good, op.memory = 4097, op), EINVAL, "multiple of 16 bytes");
	check_refusal(fake, (op = good, op.offset = FAKE_SIZE, op), ERANGE, "1048576 bytes");
	check_refusal(fake, (op = good, op.length = FAKE_SIZE, op), ERANGE, "beyond the end");
	/* Sums that would wrap round. */
	check_refusal(fake, (op = good, op.offset = UINT64_MAX - 511, op), ERANGE, "beyond");
	check_refusal(fake, (op = good, op.length = UINT64_MAX - 511, op), ERANGE, "beyond");
	/* No data: no memory asked for. */
	CHECK_EQ(rw_device_check(&fake->base, &(struct rw_op){ 0, 0, 512, 0, RW_DISCARD, 0 }), 0);
	CHECK_EQ(rw_device_check(&fake->base, &(struct rw_op){ 1, 0, 0, 0, RW_FLUSH, 0 }), 0);
	CHECK_EQ(fake_close(fake), 0);

	info.writable = false;
	info.opcodes = 1u << RW_READ;
	poor = fake_open(&fake_path, &info);
	check_refusal(poor, good, EROFS, "open it writable to write");
	check_refusal(poor, (op = good, op.opcode = RW_DISCARD, op), EROFS, "read-only");
	check_refusal(poor, (op = good, op.opcode = RW_FLUSH, op), EOPNOTSUPP, "cannot flush");
	CHECK_EQ(rw_device_check(&poor->base, &(struct rw_op){ 0, 4096, 512, 0, RW_READ, 0 }), 0);
	CHECK_EQ(fake_close(poor), 0);
}

/* The last operation may reach to the end of the last block, of which not all is there. */
static void sizes_that_are_no_blocks(void)
{
	struct rw_device_info info = fake_info();
	struct fake_device *fake;

	info.size = 1025;
	fake = fake_open(&fake_path, &info);
	CHECK_EQ(transfer(fake, RW_READ, 0, 1536), 1025);
	CHECK_EQ(transfer(fake, RW_READ, 1024, 512), 1);
	CHECK_EQ(transfer(fake, RW_READ, 1024, 1024), -ERANGE);
	CHECK_EQ(transfer(fake, RW_READ, 1536, 512), -ERANGE);
	CHECK_EQ(fake_close(fake), 0);

	info.size = 0;
	fake = fake_open(&fake_path, &info);
	CHECK_EQ(transfer(fake, RW_READ, 0, 512), -ERANGE);
	CHECK_EQ(fake_close(fake), 0);
}

/* ------------------------------------------------------------------- closing */

static void closing(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);

	CHECK_EQ(transfer(fake, RW_READ, 0, 512), 512);
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(fake->closed, 1);
	CHECK_EQ(fake->queues_destroyed, 1);
	CHECK(!fake->queue_left_at_close);
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(fake->closed, 1);
	CHECK_EQ(transfer(fake, RW_READ, 0, 512), -EBADF);
	CHECK(strstr(rw_detail(), "fake:1MiB is closed"));
	rw_device_destroy(&fake->base);
}

/* Queues of every kind, busy ones too, are drained and gone before the device is. */
static void closing_drains(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *first = fake_queue(fake, 4), *second = fake_queue(fake, 4);
	struct rw_span span = span_of(memory, 512);

	fake->delay_ns = 3 * RW_NS_PER_MS;
	CHECK(rw_queue_prepare(first, RW_READ, 0, &span, 0) > 0);
	CHECK(rw_queue_prepare(second, RW_READ, 0, &span, 0) > 0);
	CHECK_EQ(rw_queue_submit(first), 1);
	CHECK_EQ(rw_queue_submit(second), 1);
	CHECK_EQ(rw_device_transfer(&fake->base, RW_READ, 0, &span, 0), -ETIME);
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(fake->queues_made, 3);
	CHECK_EQ(fake->queues_destroyed, 3);
	CHECK_EQ(fake->out, 0);
	CHECK(!fake->queue_left_at_close);
	CHECK_EQ(rw_queue_destroy(first, 0), 0);
	rw_device_destroy(&fake->base);
	CHECK_EQ(rw_queue_destroy(second, 0), 0);
}

static void closing_with_operations_left(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_span span = span_of(memory, 512);
	int64_t start = rw_now_ns();

	FAKE_SCRIPTED(fake, FAKE_NEVER);
	CHECK(rw_queue_prepare(queue, RW_READ, 0, &span, 0) > 0);
	CHECK_EQ(rw_queue_submit(queue), 1);
	CHECK_EQ(transfer(fake, RW_READ, 0, 512), 512);
	CHECK_EQ(rw_device_close(&fake->base, 10 * RW_NS_PER_MS), -ETIME);
	CHECK(rw_now_ns() - start >= 10 * RW_NS_PER_MS);
	CHECK(strstr(rw_detail(), "still in flight"));
	CHECK_EQ(fake->closed, 1);
	CHECK_EQ(fake->queues_destroyed, 2);
	/* It is closed all the same. */
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(rw_queue_destroy(queue, 0), 0);
	rw_device_destroy(&fake->base);
}

static void a_signal_while_closing(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_span span = span_of(memory, 512);

	FAKE_SCRIPTED(fake, FAKE_NEVER);
	CHECK(rw_queue_prepare(queue, RW_READ, 0, &span, 0) > 0);
	CHECK_EQ(rw_queue_submit(queue), 1);
	fake->interruptions = 1;
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_S), -EINTR);
	CHECK_EQ(fake->closed, 0);
	CHECK_EQ(fake->queues_destroyed, 0);
	CHECK_EQ(transfer(fake, RW_READ, 0, 512), -EBADF);
	/* Destroyed now it would still be known to those who forget a region. */
	rw_device_destroy(&fake->base);
	CHECK_EQ(fake->base.references, 2);
	fake->released = true;
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(fake->closed, 1);
	CHECK_EQ(rw_queue_destroy(queue, 0), 0);
	rw_device_destroy(&fake->base);
}

static void *one_transfer(void *fake)
{
	CHECK_EQ(transfer(fake, RW_READ, 0, 512), 512);
	return NULL;
}

/* A call inside keeps the device open; no new one comes in. */
static void closing_with_a_call_inside(void)
{
	struct fake_device *fake = fake_open(&fake_sync_path, NULL);
	pthread_t thread;

	fake->held = true;
	pthread_create(&thread, NULL, one_transfer, fake);
	while (!fake->waiters)
		usleep(100);
	CHECK_EQ(rw_device_close(&fake->base, 2 * RW_NS_PER_MS), -EBUSY);
	CHECK(strstr(rw_detail(), "inside a call"));
	CHECK_EQ(fake->closed, 0);
	CHECK_EQ(transfer(fake, RW_READ, 0, 512), -EBADF);
	fake->held = false;
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_S), 0);
	pthread_join(thread, NULL);
	CHECK_EQ(fake->closed, 1);
	rw_device_destroy(&fake->base);
}

/* --------------------------------------------------------------------- forks */

static int in_child(struct fake_device *fake)
{
	struct rw_batch batch = { .depth = 1 };
	struct rw_queue *queue;

	rw_failures = 0;
	CHECK_EQ(transfer(fake, RW_READ, 0, 512), -ECHILD);
	CHECK(strstr(rw_detail(), "spawn"));
	CHECK_EQ(rw_device_resume(&fake->base, 0), -ECHILD);
	CHECK_EQ(rw_device_abandon(&fake->base, 0), -ECHILD);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, 0), -ECHILD);
	CHECK_EQ(rw_queue_create(&fake->base, 4, &queue), -ECHILD);
	CHECK_EQ(rw_device_close(&fake->base, 0), 0);
	CHECK_EQ(fake->closed, 0);
	rw_device_destroy(&fake->base);
	/* The child opens devices of its own. */
	fake = fake_open(&fake_path, NULL);
	CHECK_EQ(transfer(fake, RW_READ, 0, 512), 512);
	CHECK_EQ(fake_close(fake), 0);
	return rw_failures ? 1 : 0;
}

static void after_a_fork(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	int status = -1;
	pid_t child;

	CHECK_EQ(transfer(fake, RW_READ, 0, 512), 512);
	child = fork();
	if (!child)
		_exit(in_child(fake));
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK_EQ(transfer(fake, RW_READ, 0, 512), 512);
	CHECK_EQ(fake_close(fake), 0);
}

int main(void)
{
	what_it_says();
	refusals_say_why();
	sizes_that_are_no_blocks();
	closing();
	closing_drains();
	closing_with_operations_left();
	a_signal_while_closing();
	closing_with_a_call_inside();
	after_a_fork();
	return rw_check_end();
}
