/* libaio: data at depth, the event fd, what the kernel refuses, signals. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>

#include "paths/file.h"
#include "tests/paths/real_file.h"

enum { MANY = 512 };

static struct rw_buffer *buffer;
static char *memory;

static void data_is_right(bool direct, uint64_t generation)
{
	struct rw_device *device = real_open("libaio", 0, direct);

	if (!device)
		return;
	real_data_is_right(device, memory, MANY, generation);
	real_close(device);
}

/* ------------------------------------------------------------------- event fd */

static bool readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

static void the_event_fd(bool direct, uint64_t generation)
{
	struct rw_device *device = real_open("libaio", 0, direct);
	struct rw_completion done[8];
	struct rw_queue *queue;
	int fd;

	if (!device)
		return;
	queue = real_queue(device, 8);
	fd = rw_queue_event_fd(queue);
	CHECK(fd >= 0);
	CHECK(!readable(fd, 0));
	memset(memory, 0, 65536);
	CHECK(real_prepare(queue, RW_READ, 0, memory, 65536) > 0);
	CHECK_EQ(rw_queue_submit(queue), 1);
	CHECK(readable(fd, 10000));
	CHECK_EQ(rw_queue_reap(queue, done, 0, 8, 0), 1);
	CHECK_EQ(done[0].result, 65536);
	CHECK(real_bytes_are(memory, 0, 65536, generation));
	CHECK(!readable(fd, 0));
	/* What a reap leaves behind is told again; what waits its turn beside the kernel too. */
	for (int i = 0; i < 3; i++)
		CHECK(real_prepare(queue, RW_READ, 0, memory, 4096) > 0);
	CHECK(real_prepare(queue, RW_WRITE_ZEROES, 4096, NULL, 4096) > 0);
	CHECK_EQ(rw_queue_submit(queue), 4);
	for (int i = 0; i < 4; i++) {
		CHECK(readable(fd, 10000));
		CHECK_EQ(rw_queue_reap(queue, done, 1, 1, 10 * RW_NS_PER_S), 1);
		CHECK_EQ(done[0].result, 4096);
	}
	CHECK_EQ(rw_queue_in_flight(queue), 0);
	real_fill(memory, 4096, 4096, generation);
	CHECK_EQ(real_do(queue, RW_WRITE, 4096, memory, 4096), 4096);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	real_close(device);
}

/* Requests that are out cannot be told to signal: refused, instead of never woken. */
static void a_late_event_fd(void)
{
	struct rw_device *device = real_open("libaio", 0, false);
	struct rw_completion done;
	struct rw_queue *queue;

	if (!device)
		return;
	queue = real_queue(device, 8);
	CHECK(real_prepare(queue, RW_READ, 0, memory, 4096) > 0);
	CHECK_EQ(rw_queue_submit(queue), 1);
	CHECK_EQ(rw_queue_event_fd(queue), -EBUSY);
	CHECK(strstr(rw_detail(), "before the first submit"));
	CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, 10 * RW_NS_PER_S), 1);
	CHECK(rw_queue_event_fd(queue) >= 0);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	real_close(device);
}

/* ------------------------------------------------------------------- refusals */

/* The kernel stops at a request it will not take: that one fails, the others do not. */
static void a_refused_request(void)
{
	struct rw_device *device = real_open("libaio", 0, false);
	struct rw_completion done[5];
	struct rw_queue *queue;
	int fd, reading, failed = 0, n = 0;

	if (!device)
		return;
	queue = real_queue(device, 8);
	fd = rw_queue_event_fd(queue);
	/* A descriptor for reading only, of which the core knows nothing. */
	reading = open(real_name, O_RDONLY | O_CLOEXEC);
	CHECK(dup2(reading, ((struct rw_file *)device)->fd) >= 0);
	close(reading);
	for (uint64_t i = 0; i < 5; i++)
		CHECK(real_prepare(queue, i == 2 ? RW_WRITE : RW_READ, 4096 * i, memory + 4096 * i,
				   4096) > 0);
	CHECK_EQ(rw_queue_submit(queue), 5);
	while (n < 5 && readable(fd, 2000))
		n += rw_queue_reap(queue, done + n, 0, 5, 0);
	CHECK_EQ(n, 5);
	for (int i = 0; i < n; i++) {
		CHECK_EQ(done[i].result, done[i].user_data == 8192 ? -EBADF : 4096);
		failed += done[i].result < 0;
	}
	CHECK_EQ(failed, 1);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	real_close(device);
}

static void a_file_cut_short(void)
{
	struct rw_device *device = real_open("libaio", 0, false);
	struct rw_queue *queue;

	if (!device)
		return;
	queue = real_queue(device, 8);
	CHECK_EQ(truncate(real_name, REAL_SIZE / 2), 0);
	CHECK_EQ(real_do(queue, RW_READ, REAL_SIZE / 2 - 4096, memory, 8192), -ENODATA);
	CHECK_EQ(real_do(queue, RW_READ, REAL_SIZE / 2, memory, 4096), -ENODATA);
	CHECK_EQ(truncate(real_name, REAL_SIZE), 0);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	real_close(device);
}

/* -------------------------------------------------------------------- signals */

static void ignore_signal(int number)
{
	(void)number;
}

/* Under a hail of signals every operation still completes once, with its own data. */
static void signals(void)
{
	const struct itimerval timer = { { .tv_usec = 300 }, { .tv_usec = 300 } }, off = { 0 };
	struct sigaction action = { .sa_handler = ignore_signal, .sa_flags = SA_RESTART };
	struct rw_device *device = real_open("libaio", 0, true);
	int64_t end = rw_deadline_ns(2 * RW_NS_PER_S);
	struct rw_completion done[16];
	struct rw_queue *queue;
	int interrupted = 0;

	if (!device)
		return;
	queue = real_queue(device, 16);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (!interrupted && rw_now_ns() < end) {
		int n = 0, wrong = 0;

		for (uint64_t i = 0; i < 16; i++)
			CHECK(real_prepare(queue, RW_READ, i << 20, memory + (i << 20),
					   1 << 20) > 0);
		while (n < 16 && !wrong) {
			int got = rw_queue_reap(queue, done + n, 16 - (uint32_t)n, 16, RW_NS_PER_S);

			interrupted += got == -EINTR;
			wrong = got < 0 && got != -EINTR;
			n += got > 0 ? got : 0;
		}
		CHECK_EQ(n, 16);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	CHECK(interrupted);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	real_close(device);
}

int main(void)
{
	struct rw_device *device;

	if (!real_create())
		return rw_skip("no file can be made in /var/tmp");
	device = real_open("libaio", 0, false);
	if (!device) {
		real_remove();
		return rw_skip(rw_detail());
	}
	real_close(device);
	CHECK_EQ(rw_buffer_create(REAL_SIZE, &buffer), 0);
	memory = rw_buffer_memory(buffer);
	data_is_right(false, 0);
	data_is_right(true, 1);
	the_event_fd(false, 2);
	the_event_fd(true, 2);
	a_late_event_fd();
	a_refused_request();
	signals();
	a_file_cut_short();
	CHECK_EQ(rw_buffer_drop(buffer), 1);
	real_remove();
	return rw_check_end();
}
