/* Whose a queue is: threads and forks; how it ends, with operations in flight too. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/core/fake_queue.h"

/* ---------------------------------------------------------------- ownership */

struct call {
	struct fake_device *fake;
	struct rw_queue *queue;
};

/* Every call of a queue that is not this caller's answers `expected`. */
static void check_refused(struct rw_queue *queue, int expected)
{
	struct rw_op op = { .memory = (uintptr_t)memory, .length = 512, .opcode = RW_READ };
	struct rw_completion done;
	int64_t token;

	CHECK_EQ(prepare_read(queue), expected);
	CHECK_EQ(rw_queue_prepare_many(queue, &op, 1, &token), expected);
	CHECK_EQ(rw_queue_submit(queue), expected);
	CHECK_EQ(rw_queue_reap(queue, &done, 0, 1, 0), expected);
	CHECK_EQ(rw_queue_event_fd(queue), expected);
}

static void *other_thread(void *argument)
{
	check_refused(((struct call *)argument)->queue, -EREMOTE);
	return NULL;
}

static void another_thread_is_refused(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct call call = { fake, fake_queue(fake, 4) };
	struct rw_completion done;
	pthread_t thread;

	CHECK(prepare_read(call.queue) > 0);
	pthread_create(&thread, NULL, other_thread, &call);
	pthread_join(thread, NULL);
	CHECK_EQ(fake->logged, 0);
	CHECK_EQ(rw_buffer_holders(buffer), 2);
	CHECK_EQ(rw_queue_reap(call.queue, &done, 1, 1, RW_NS_PER_S), 1);
	end(fake, call.queue);
}

/* The child may close what it has inherited, and that does not touch the parent's. */
static int in_child(struct fake_device *fake, struct rw_queue *queue)
{
	int64_t start = rw_now_ns();

	rw_failures = 0;
	check_refused(queue, -ECHILD);
	CHECK_EQ(rw_queue_destroy(queue, 10 * RW_NS_PER_S), 0);
	CHECK_EQ(rw_device_close(&fake->base, 10 * RW_NS_PER_S), 0);
	CHECK_EQ(fake->queues_destroyed, 0);
	CHECK_EQ(fake->closed, 0);
	rw_device_destroy(&fake->base);
	CHECK(rw_now_ns() - start < 5 * RW_NS_PER_S);
	return rw_failures;
}

static void a_forked_child_is_refused(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_completion done;
	int status = -1;
	pid_t child;

	FAKE_SCRIPTED(fake, FAKE_NEVER);
	CHECK(prepare_read(queue) > 0);
	CHECK_EQ(rw_queue_submit(queue), 1);
	child = fork();
	if (!child)
		_exit(in_child(fake, queue) ? 1 : 0);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK_EQ(rw_queue_in_flight(queue), 1);
	fake->released = true;
	CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, RW_NS_PER_S), 1);
	CHECK_EQ(done.result, 512);
	end(fake, queue);
}

/* ------------------------------------------------------------------ the end */

static void destroying_drains(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);

	fake->delay_ns = 3 * RW_NS_PER_MS;
	for (uint32_t i = 0; i < 3; i++)
		prepare(queue, RW_WRITE, 512 * i, 512);
	CHECK_EQ(rw_queue_submit(queue), 3);
	prepare_read(queue); /* handed to no path: it never is */
	CHECK_EQ(rw_buffer_holders(buffer), 5);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	CHECK_EQ(fake->logged, 3);
	CHECK_EQ(fake->queues_destroyed, 1);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(fake_close(fake), 0);
}

/* What has completed already is taken in even when there is no time at all. */
static void destroying_without_time(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);

	prepare_read(queue);
	CHECK_EQ(rw_queue_submit(queue), 1);
	CHECK_EQ(rw_queue_destroy(queue, 0), 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(fake_close(fake), 0);
}

static void destroying_leaves_memory_held(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_buffer *lost;
	struct rw_span span;

	CHECK_EQ(rw_buffer_create(4096, &lost), 0);
	span = span_of(rw_buffer_memory(lost), 4096);
	FAKE_SCRIPTED(fake, FAKE_NEVER, FAKE_ALL);
	CHECK(rw_queue_prepare(queue, RW_READ, 0, &span, 0) > 0);
	CHECK(prepare_read(queue) > 0);
	CHECK_EQ(rw_queue_submit(queue), 2);
	CHECK_EQ(rw_queue_destroy(queue, 5 * RW_NS_PER_MS), -ETIME);
	CHECK(strstr(rw_detail(), "1 operations"));
	CHECK_EQ(fake->queues_destroyed, 1);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(rw_buffer_holders(lost), 2);
	CHECK_EQ(rw_buffer_drop(lost), 0);
	/* Nobody gets that memory again. */
	span = span_of(rw_buffer_memory(lost), 4096);
	CHECK(rw_memory_known(&span));
	CHECK_EQ(fake_close(fake), 0);
}

static void a_signal_while_destroying(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);

	FAKE_SCRIPTED(fake, FAKE_NEVER);
	CHECK(prepare_read(queue) > 0);
	CHECK_EQ(rw_queue_submit(queue), 1);
	fake->interruptions = 1;
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), -EINTR);
	CHECK_EQ(fake->queues_destroyed, 0);
	CHECK_EQ(rw_queue_in_flight(queue), 1);
	fake->released = true;
	end(fake, queue);
}

static void a_queue_of_a_closed_device(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_queue *late = NULL;

	CHECK(prepare_read(queue) > 0);
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(fake->queues_destroyed, 1);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	check_refused(queue, -EBADF);
	CHECK_EQ(rw_queue_create(&fake->base, 4, &late), -EBADF);
	CHECK_EQ(rw_queue_depth(queue), 4);
	/* In either order. */
	rw_device_destroy(&fake->base);
	CHECK_EQ(rw_queue_destroy(queue, 0), 0);
}

int main(void)
{
	make_memory();
	another_thread_is_refused();
	a_forked_child_is_refused();
	destroying_drains();
	destroying_without_time();
	destroying_leaves_memory_held();
	a_signal_while_destroying();
	a_queue_of_a_closed_device();
	drop_memory();
	return rw_check_end();
}
