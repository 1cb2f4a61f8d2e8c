/* Reaping: how many, how long, signals; the event fd. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/time.h>

#include "tests/core/fake_queue.h"

/* ------------------------------------------------------------------ waiting */

static void min_max_and_timeout(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 8);
	struct rw_completion done[8];
	int64_t start;

	/* Nothing in flight: no wait, whatever is asked for. */
	start = rw_now_ns();
	CHECK_EQ(rw_queue_reap(queue, done, 1, 8, 10 * RW_NS_PER_S), 0);
	CHECK_EQ(rw_queue_reap(queue, done, 8, 8, 10 * RW_NS_PER_S), 0);
	CHECK(rw_now_ns() - start < RW_NS_PER_S);

	for (uint32_t i = 0; i < 6; i++)
		prepare(queue, RW_READ, 512 * i, 512);
	CHECK_EQ(rw_queue_reap(queue, done, 0, 0, 0), 0);
	CHECK_EQ(rw_queue_reap(queue, done, 1, 2, RW_NS_PER_S), 2);
	CHECK_EQ(rw_queue_reap(queue, done, 5, 1, RW_NS_PER_S), 1);
	/* More than are in flight are not waited for. */
	CHECK_EQ(rw_queue_reap(queue, done, 100, 100, 10 * RW_NS_PER_S), 3);
	CHECK(rw_now_ns() - start < 5 * RW_NS_PER_S);
	CHECK_EQ(rw_queue_in_flight(queue), 0);
	end(fake, queue);
}

static void a_deadline_passes(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 8);
	struct rw_completion done[8];
	int64_t start = rw_now_ns();

	FAKE_SCRIPTED(fake, FAKE_ALL, FAKE_NEVER, FAKE_ALL);
	for (uint32_t i = 0; i < 3; i++)
		prepare(queue, RW_READ, 512 * i, 512);
	/* Then what there is, though less than asked for. */
	CHECK_EQ(rw_queue_reap(queue, done, 3, 8, 20 * RW_NS_PER_MS), 2);
	CHECK(rw_now_ns() - start >= 20 * RW_NS_PER_MS);
	CHECK_EQ(done[0].user_data, 1000);
	CHECK_EQ(done[1].user_data, 1000 + 1024);
	CHECK_EQ(rw_queue_reap(queue, done, 1, 8, RW_NS_PER_MS), 0);
	CHECK_EQ(rw_queue_reap(queue, done, 1, 8, 0), 0);
	CHECK_EQ(rw_queue_reap(queue, done, 0, 8, RW_NS_PER_S), 0);
	CHECK_EQ(rw_queue_in_flight(queue), 1);
	fake->released = true;
	CHECK_EQ(rw_queue_reap(queue, done, 1, 8, INT64_MAX), 1);
	CHECK_EQ(done[0].result, 512);
	end(fake, queue);
}

static void signals_end_a_wait(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_completion done[4];

	FAKE_SCRIPTED(fake, FAKE_NEVER);
	fake->interruptions = 1;
	prepare_read(queue);
	CHECK_EQ(rw_queue_reap(queue, done, 1, 4, RW_NS_PER_S), -EINTR);
	CHECK_EQ(rw_queue_in_flight(queue), 1);
	/* Those taken in before the signal are not lost. */
	fake->interruptions = 0;
	prepare_read(queue);
	CHECK_EQ(rw_queue_reap(queue, done, 0, 4, 0), 1);
	prepare_read(queue);
	CHECK_EQ(rw_queue_submit(queue), 1);
	fake->interruptions = 1;
	CHECK_EQ(rw_queue_reap(queue, done, 2, 4, RW_NS_PER_S), 1);
	fake->released = true;
	CHECK_EQ(rw_queue_reap(queue, done, 1, 4, RW_NS_PER_S), 1);
	end(fake, queue);
}

static void count_signal(int number)
{
	(void)number;
}

static void a_real_signal_ends_a_wait(void)
{
	struct sigaction action = { .sa_handler = count_signal, .sa_flags = SA_RESTART };
	struct itimerval timer = { { .tv_usec = 7300 }, { .tv_usec = 7300 } }, off = { 0 };
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_completion done[4];
	int64_t start = rw_now_ns();

	sigaction(SIGALRM, &action, NULL);
	FAKE_SCRIPTED(fake, FAKE_NEVER);
	prepare_read(queue);
	setitimer(ITIMER_REAL, &timer, NULL);
	CHECK_EQ(rw_queue_reap(queue, done, 1, 4, 20 * RW_NS_PER_S), -EINTR);
	setitimer(ITIMER_REAL, &off, NULL);
	CHECK(rw_now_ns() - start < 10 * RW_NS_PER_S);
	fake->released = true;
	end(fake, queue);
}

/* A slow device is learnt: its waits sleep at once. A quick one is looked at first. */
static void learns_how_long_to_spin(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_completion done;

	CHECK_EQ(queue->wait_ns, 0);
	fake->delay_ns = 500000;
	for (int i = 0; i < 30; i++) {
		prepare_read(queue);
		CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, RW_NS_PER_S), 1);
	}
	CHECK(queue->wait_ns > 30000);
	CHECK(queue->wait_ns <= 120000);
	CHECK(queue->sleeps > 20);
	fake->delay_ns = 0;
	for (int i = 0; i < 100; i++) {
		prepare_read(queue);
		CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, RW_NS_PER_S), 1);
	}
	CHECK(queue->wait_ns < 30000);
	end(fake, queue);
}

/* Nothing moves while others wait behind a full ring: that is no reason to hurry either. */
static void backs_off_behind_a_full_ring(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_completion done[4];

	fake->ring = 1;
	fake->otherwise = -EAGAIN;
	for (int i = 0; i < 3; i++)
		prepare_read(queue);
	CHECK_EQ(rw_queue_reap(queue, done, 1, 4, 30 * RW_NS_PER_MS), 0);
	CHECK(fake->logged <= 40);
	fake->otherwise = FAKE_ALL;
	CHECK_EQ(rw_queue_reap(queue, done, 3, 4, RW_NS_PER_S), 3);
	end(fake, queue);
}

/* ------------------------------------------------------------------ event fd */

static bool readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

static void the_event_fd(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_completion done[4];
	int fd;

	fake->event_fd_error = EMFILE;
	CHECK_EQ(rw_queue_event_fd(queue), -EMFILE);
	CHECK_EQ(queue->event_fd, -1);
	fake->event_fd_error = 0;
	fd = rw_queue_event_fd(queue);
	CHECK(fd >= 0);
	CHECK_EQ(rw_queue_event_fd(queue), fd);
	CHECK(!readable(fd));
	eventfd_write(fd, 3);
	CHECK(readable(fd));
	CHECK_EQ(rw_queue_reap(queue, done, 0, 4, 0), 0);
	CHECK(!readable(fd));
	end(fake, queue);

	fake = fake_open(&fake_bare_path, NULL);
	queue = fake_queue(fake, 4);
	CHECK_EQ(rw_queue_event_fd(queue), -EOPNOTSUPP);
	end(fake, queue);
}

/* What completed before the fd was asked for, or stays behind a reap, is not slept on. */
static void the_event_fd_tells_what_is_left(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_queue *queue = fake_queue(fake, 4);
	struct rw_completion done[4];
	int fd;

	for (int i = 0; i < 3; i++)
		prepare_read(queue);
	CHECK_EQ(rw_queue_submit(queue), 3);
	fd = rw_queue_event_fd(queue);
	CHECK(readable(fd));
	CHECK_EQ(rw_queue_reap(queue, done, 0, 1, 0), 1);
	CHECK(readable(fd));
	CHECK_EQ(rw_queue_reap(queue, done, 0, 4, 0), 2);
	CHECK(!readable(fd));
	CHECK_EQ(rw_queue_reap(queue, done, 0, 4, 0), 0);
	CHECK(!readable(fd));
	end(fake, queue);
}

int main(void)
{
	make_memory();
	min_max_and_timeout();
	a_deadline_passes();
	signals_end_a_wait();
	a_real_signal_ends_a_wait();
	learns_how_long_to_spin();
	backs_off_behind_a_full_ring();
	the_event_fd();
	the_event_fd_tells_what_is_left();
	drop_memory();
	return rw_check_end();
}
