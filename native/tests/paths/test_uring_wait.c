/*
 * io_uring: waiting. The devices here are pipes, in which a read stays in
 * flight until something is written: nothing of it depends on a disk's speed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "core/open.h"
#include "core/region.h"
#include "paths/file.h"
#include "paths/uring.h"
#include "tests/paths/real_file.h"

extern const struct rw_path rw_io_uring_path;

static const uint32_t option_sets[] = {
	0, RW_URING_FIXED, RW_URING_SQPOLL, RW_URING_DEFER, RW_URING_DEFER | RW_URING_FIXED,
};

static struct rw_buffer *buffer;
static char *memory;
static int feed; /* the pipe's other end */

static struct rw_device *pipe_open(uint32_t options)
{
	struct rw_device *device = rw_device_new(&rw_io_uring_path, "pipe");
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return NULL;
	((struct rw_file *)device)->fd = fds[0];
	feed = fds[1];
	device->info = (struct rw_device_info){
		.size = 1 << 20,
		.block_size = 1,
		.memory_alignment = 1,
		.max_transfer = 1 << 20,
		.max_depth = RW_MAX_DEPTH,
		.opcodes = 1u << RW_READ,
		.options = options,
	};
	rw_device_publish(device);
	return device;
}

static void pipe_close(struct rw_device *device, int expected)
{
	CHECK_EQ(rw_device_close(device, 10 * RW_NS_PER_MS), expected);
	rw_device_destroy(device);
	close(feed);
}

static void write_bytes(size_t n)
{
	char bytes[4096];

	memset(bytes, 'x', sizeof(bytes));
	CHECK_EQ(write(feed, bytes, n), n);
}

/* Bytes in the pipe that no read has taken. */
static int unread(void)
{
	int bytes = 0;

	CHECK_EQ(ioctl(feed, FIONREAD, &bytes), 0);
	return bytes;
}

static int64_t start_read(struct rw_queue *queue, uint64_t length)
{
	struct rw_span span = { (uintptr_t)memory, length };

	return rw_queue_prepare(queue, RW_READ, 0, &span, 0);
}

/* ------------------------------------------------------------------ deadlines */

static void deadlines(uint32_t options)
{
	struct rw_device *device = pipe_open(options);
	struct rw_queue *queue = real_queue(device, 8);
	struct rw_completion done[8];
	int64_t start = rw_now_ns();
	int n;

	CHECK(start_read(queue, 100) > 0);
	CHECK_EQ(rw_queue_reap(queue, done, 1, 8, 20 * RW_NS_PER_MS), 0);
	CHECK(rw_now_ns() - start >= 20 * RW_NS_PER_MS);
	CHECK(rw_now_ns() - start < RW_NS_PER_S);
	CHECK_EQ(rw_queue_reap(queue, done, 0, 8, RW_NS_PER_S), 0);
	CHECK(start_read(queue, 100) > 0);
	write_bytes(100);
	/* One of two, though both were asked for; later where the machine is busy. */
	n = rw_queue_reap(queue, done, 2, 8, 20 * RW_NS_PER_MS);
	CHECK_EQ(n ? n : rw_queue_reap(queue, done, 1, 8, 10 * RW_NS_PER_S), 1);
	CHECK_EQ(done[0].result, 100);
	CHECK_EQ(rw_queue_in_flight(queue), 1);
	write_bytes(60); /* a short transfer, and the rest of it */
	do
		CHECK_EQ(rw_queue_reap(queue, done, 1, 8, 5 * RW_NS_PER_MS), 0);
	while (unread());
	write_bytes(40);
	CHECK_EQ(rw_queue_reap(queue, done, 1, 8, 10 * RW_NS_PER_S), 1);
	CHECK_EQ(done[0].result, 100);
	CHECK_EQ(counters_of(queue).retries, 1);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	pipe_close(device, 0);
}

/* A wait that nothing ends uses no CPU. */
static void sleeping(uint32_t options)
{
	struct rw_device *device = pipe_open(options);
	struct rw_queue *queue = real_queue(device, 8);
	struct rw_completion done;
	struct timespec before, after;

	CHECK(start_read(queue, 100) > 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, 100 * RW_NS_PER_MS), 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	CHECK((after.tv_sec - before.tv_sec) * RW_NS_PER_S + after.tv_nsec - before.tv_nsec <
	      20 * RW_NS_PER_MS);
	write_bytes(100);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	pipe_close(device, 0);
}

/* -------------------------------------------------------------------- signals */

static void ignore_signal(int number)
{
	(void)number;
}

/* A signal every so many microseconds, 0: no more. */
static void interrupt_every(long us)
{
	struct sigaction action = { .sa_handler = ignore_signal, .sa_flags = SA_RESTART };
	struct itimerval timer = { { .tv_usec = us }, { .tv_usec = us } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Whether the wait hands something over in the same system call or not. */
static void signals(uint32_t options, bool submitted_before)
{
	struct rw_device *device = pipe_open(options);
	struct rw_queue *queue = real_queue(device, 8);
	int64_t start = rw_now_ns();
	struct rw_completion done;

	CHECK(start_read(queue, 100) > 0);
	if (submitted_before)
		CHECK_EQ(rw_queue_submit(queue), 1);
	queue->wait_ns = 120000; /* slow: sleeps at once */
	interrupt_every(20000);
	CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, 2 * RW_NS_PER_S), -EINTR);
	interrupt_every(0);
	CHECK(rw_now_ns() - start < RW_NS_PER_S);
	CHECK_EQ(rw_queue_in_flight(queue), 1);
	write_bytes(100);
	CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, 10 * RW_NS_PER_S), 1);
	CHECK_EQ(done.result, 100);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	pipe_close(device, 0);
}

/* ------------------------------------------------------------------- event fd */

static bool readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

static void the_event_fd(uint32_t options)
{
	struct rw_device *device = pipe_open(options);
	struct rw_queue *queue = real_queue(device, 8);
	int fd = rw_queue_event_fd(queue);
	struct rw_completion done[8];

	CHECK(fd >= 0);
	CHECK(!readable(fd, 0));
	CHECK(start_read(queue, 100) > 0);
	CHECK_EQ(rw_queue_submit(queue), 1);
	CHECK(!readable(fd, 20));
	write_bytes(100);
	CHECK(readable(fd, 10000));
	CHECK_EQ(rw_queue_reap(queue, done, 0, 8, 0), 1);
	CHECK(!readable(fd, 0));
	/* What a reap leaves behind is told again. */
	for (int i = 0; i < 3; i++)
		CHECK(start_read(queue, 100) > 0);
	CHECK_EQ(rw_queue_submit(queue), 3);
	write_bytes(300);
	for (int i = 0; i < 3; i++) {
		CHECK(readable(fd, 10000));
		CHECK_EQ(rw_queue_reap(queue, done, 1, 1, 10 * RW_NS_PER_S), 1);
	}
	CHECK_EQ(rw_queue_in_flight(queue), 0);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	pipe_close(device, 0);
}

/* Asked for when the completion is there already. */
static void a_late_event_fd(uint32_t options)
{
	struct rw_device *device = pipe_open(options);
	struct rw_queue *queue = real_queue(device, 8);
	struct rw_completion done;
	int fd, n = 0;

	write_bytes(100);
	CHECK(start_read(queue, 100) > 0);
	CHECK_EQ(rw_queue_submit(queue), 1);
	usleep(20000);
	fd = rw_queue_event_fd(queue);
	while (!n && readable(fd, 10000))
		n = rw_queue_reap(queue, &done, 0, 1, 0);
	CHECK_EQ(n, 1);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	pipe_close(device, 0);
}

/* A discard that waits for its turn and a completion of the kernel's: neither hides the other. */
static void both_kinds_at_once(uint32_t options)
{
	struct rw_device *device = pipe_open(options);
	struct rw_queue *queue = real_queue(device, 8);
	int fd = rw_queue_event_fd(queue);
	struct rw_completion done[8];
	int n = 0;

	device->info.opcodes |= 1u << RW_DISCARD;
	device->info.writable = true;
	CHECK(start_read(queue, 100) > 0);
	CHECK(real_prepare(queue, RW_DISCARD, 0, NULL, 100) > 0);
	CHECK_EQ(rw_queue_submit(queue), 2);
	write_bytes(100);
	usleep(20000);
	while (n < 2 && readable(fd, 2000))
		n += rw_queue_reap(queue, done + n, 0, 8, 0);
	CHECK_EQ(n, 2);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	pipe_close(device, 0);
}

static void no_event_fd_with_iopoll(void)
{
	struct rw_device *device = pipe_open(0);
	struct rw_queue *queue = real_queue(device, 8);

	((struct rw_uring_queue *)queue)->options |= RW_URING_IOPOLL;
	CHECK_EQ(rw_queue_event_fd(queue), -EOPNOTSUPP);
	CHECK(strstr(rw_detail(), "polled for"));
	((struct rw_uring_queue *)queue)->options = 0;
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	pipe_close(device, 0);
}

/* ------------------------------------------------------------ never completing */

/* Closing gives up at its deadline, and the memory is nobody's any more. */
static void closing_in_vain(uint32_t options)
{
	struct rw_device *device = pipe_open(options);
	struct rw_queue *queue = real_queue(device, 8);
	struct rw_span span = { 0, 100 };
	int64_t start = rw_now_ns();
	struct rw_buffer *lost;

	CHECK_EQ(rw_buffer_create(100, &lost), 0);
	span.memory = (uintptr_t)rw_buffer_memory(lost);
	CHECK(rw_queue_prepare(queue, RW_READ, 0, &span, 0) > 0);
	CHECK_EQ(rw_queue_submit(queue), 1);
	CHECK_EQ(rw_queue_destroy(queue, 20 * RW_NS_PER_MS), -ETIME);
	CHECK(rw_now_ns() - start < RW_NS_PER_S);
	CHECK_EQ(rw_buffer_holders(lost), 2);
	pipe_close(device, 0);
}

struct destroyed {
	struct rw_queue *queue;
	int error;
};

static void *destroy_it(void *argument)
{
	struct destroyed *destroyed = argument;

	destroyed->error = rw_queue_destroy(destroyed->queue, 10 * RW_NS_PER_S);
	return NULL;
}

/*
 * Another thread may destroy a queue, and takes in what is in flight. Only with
 * deferred task run it cannot: the kernel lets none but the owner do that, so
 * the memory stays held.
 */
static void destroyed_by_another(uint32_t options)
{
	struct rw_device *device = pipe_open(options);
	struct destroyed destroyed = { .queue = real_queue(device, 8) };
	bool deferred = options & RW_URING_DEFER;
	struct rw_span span = { 0, 100 };
	struct rw_buffer *taken;
	pthread_t thread;

	CHECK_EQ(rw_buffer_create(100, &taken), 0);
	span.memory = (uintptr_t)rw_buffer_memory(taken);
	CHECK(rw_queue_prepare(destroyed.queue, RW_READ, 0, &span, 0) > 0);
	CHECK_EQ(rw_queue_submit(destroyed.queue), 1);
	write_bytes(100);
	pthread_create(&thread, NULL, destroy_it, &destroyed);
	pthread_join(thread, NULL);
	CHECK_EQ(destroyed.error, deferred ? -ETIME : 0);
	CHECK_EQ(rw_buffer_holders(taken), deferred ? 2 : 1);
	rw_buffer_drop(taken);
	pipe_close(device, 0);
}

int main(void)
{
	struct io_uring ring;

	for (uint32_t i = 0; i < sizeof(option_sets) / sizeof(option_sets[0]); i++) {
		uint32_t options = option_sets[i];

		if (rw_uring_ring_init(&ring, 1, options)) {
			fprintf(stderr, "options %u left out: %s\n", options, rw_detail());
			if (!options)
				return rw_skip(rw_detail());
			continue;
		}
		io_uring_queue_exit(&ring);
		if (!buffer)
			CHECK_EQ(rw_buffer_create(4096, &buffer), 0);
		memory = rw_buffer_memory(buffer);
		deadlines(options);
		sleeping(options);
		signals(options, true);
		signals(options, false);
		the_event_fd(options);
		a_late_event_fd(options);
		both_kinds_at_once(options);
		closing_in_vain(options);
		destroyed_by_another(options);
		CHECK_EQ(rw_buffer_holders(buffer), 1);
	}
	no_event_fd_with_iopoll();
	CHECK_EQ(rw_buffer_drop(buffer), 1);
	return rw_check_end();
}
