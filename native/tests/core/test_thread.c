/* Threads: numbers, what a thread leaves behind, closing around busy ones, all at once. */
#define _GNU_SOURCE
#include "core/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "tests/check.h"
#include "tests/core/fake_path.h"

enum { THREADS = 4, ROUNDS = 200 };

static char foreign[4096] __attribute__((aligned(4096)));

static int64_t read_into(struct fake_device *fake, void *memory, int64_t timeout_ns)
{
	struct rw_span span = span_of(memory, 512);

	return rw_device_transfer(&fake->base, RW_READ, 512, &span, timeout_ns);
}

static void in_thread(void *(*work)(void *), void *argument)
{
	pthread_t thread;

	pthread_create(&thread, NULL, work, argument);
	pthread_join(thread, NULL);
}

/* ------------------------------------------------------------------- numbers */

static void *note_id(void *out)
{
	*(uint64_t *)out = rw_thread_id();
	CHECK_EQ(rw_thread_id(), *(uint64_t *)out);
	return NULL;
}

static void ids_are_unique(void)
{
	uint64_t ids[20] = { rw_thread_id() };

	for (int i = 1; i < 20; i++) {
		in_thread(note_id, &ids[i]); /* the kernel may give the last one's number again */
		CHECK(ids[i] != 0);
		for (int j = 0; j < i; j++)
			CHECK(ids[i] != ids[j]);
	}
	CHECK_EQ(rw_thread_id(), ids[0]);
}

static void forks_are_counted(void)
{
	uint32_t before = rw_fork_generation;
	int status = -1;
	pid_t child = fork();

	if (!child)
		_exit(rw_fork_generation == before + 1 ? 0 : 1);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK_EQ(rw_fork_generation, before);
}

/* ---------------------------------------------------------- a thread that ends */

static void *read_once(void *fake)
{
	CHECK_EQ(read_into(fake, foreign, RW_NS_PER_S), 512);
	return NULL;
}

static void its_queues_end_with_it(void)
{
	struct fake_device *one = fake_open(&fake_path, NULL), *two = fake_open(&fake_path, NULL);

	read_once(two);
	for (uint32_t i = 1; i <= 5; i++) {
		in_thread(read_once, one);
		CHECK_EQ(one->queues_made, i);
		CHECK_EQ(one->queues_destroyed, i);
		in_thread(read_once, two);
		CHECK_EQ(two->queues_made, i + 1);
		CHECK_EQ(two->queues_destroyed, i);
	}
	CHECK(!one->base.queues);
	CHECK_EQ(one->base.references, 1);
	read_once(two); /* the main thread's is still there */
	CHECK_EQ(two->queues_made, 6);
	CHECK_EQ(fake_close(one), 0);
	CHECK_EQ(fake_close(two), 0);
}

static void *read_in_vain(void *fake)
{
	int64_t n = read_into(fake, foreign, 0);

	CHECK(n == -ETIME || n == -EINTR);
	return NULL;
}

/* What it has in flight is waited for; a signal does not leave the queue behind. */
static void its_operations_are_drained(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);

	fake->delay_ns = 20 * RW_NS_PER_MS;
	in_thread(read_in_vain, fake);
	CHECK_EQ(fake->queues_destroyed, 1);
	CHECK_EQ(fake->out, 0);
	fake->interruptions = 3;
	in_thread(read_in_vain, fake);
	CHECK_EQ(fake->queues_made, 2);
	CHECK_EQ(fake->queues_destroyed, 2);
	CHECK_EQ(fake->base.references, 1);
	CHECK_EQ(fake_close(fake), 0);
}

static void *make_queue(void *argument)
{
	struct fake_device *fake = argument;
	struct rw_queue **out = (struct rw_queue **)fake->log; /* room enough, and passed along */

	*out = fake_queue(fake, 4);
	return NULL;
}

/* An explicit queue is its handle's: nobody's to use any more, but there to be destroyed. */
static void explicit_queues_stay(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_completion done;
	struct rw_queue *queue;

	in_thread(make_queue, fake);
	memcpy(&queue, fake->log, sizeof(queue));
	CHECK_EQ(fake->queues_destroyed, 0);
	CHECK_EQ(rw_queue_reap(queue, &done, 0, 1, 0), -EREMOTE);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	CHECK_EQ(fake->queues_destroyed, 1);
	CHECK_EQ(fake_close(fake), 0);
}

/* ------------------------------------------------- closing around busy threads */

struct shared {
	struct fake_device *fake;
	struct rw_queue *queue;
	_Atomic bool ready, stop;
};

/* Nearly always inside a reap, one after the other, until the queue is closed. */
static void *reap_until_closed(void *argument)
{
	struct shared *shared = argument;
	struct rw_queue *queue = fake_queue(shared->fake, 4);
	struct rw_span span = span_of(foreign, 512);
	struct rw_completion done;
	int n = 1;

	do {
		if (n)
			rw_queue_prepare(queue, RW_READ, 0, &span, 0);
		n = rw_queue_reap(queue, &done, 1, 1, 10 * RW_NS_PER_MS);
	} while (n >= 0);
	CHECK_EQ(n, -EBADF);
	while (!shared->stop)
		usleep(100);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	return NULL;
}

static void closing_while_the_owner_waits(void)
{
	struct shared shared = { .fake = fake_open(&fake_path, NULL) };
	struct fake_device *fake = shared.fake;
	pthread_t thread;

	fake->delay_ns = 30 * RW_NS_PER_MS;
	pthread_create(&thread, NULL, reap_until_closed, &shared);
	while (!fake->waiters)
		usleep(100);
	/* Its next call does not get in before the closing one. */
	CHECK_EQ(rw_device_close(&fake->base, 10 * RW_NS_PER_S), 0);
	shared.stop = true;
	pthread_join(thread, NULL);
	CHECK_EQ(fake->closed, 1);
	rw_device_destroy(&fake->base);
}

static void *wait_long(void *argument)
{
	struct shared *shared = argument;
	struct rw_span span = span_of(foreign, 512);
	struct rw_completion done;

	shared->queue = fake_queue(shared->fake, 4);
	CHECK(rw_queue_prepare(shared->queue, RW_READ, 0, &span, 0) > 0);
	shared->ready = true;
	CHECK_EQ(rw_queue_reap(shared->queue, &done, 1, 1, 10 * RW_NS_PER_S), 1);
	CHECK_EQ(done.result, 512);
	return NULL;
}

/* A queue whose owner is inside a call is not torn away; it can be destroyed afterwards. */
static void destroying_while_the_owner_waits(void)
{
	struct shared shared = { .fake = fake_open(&fake_path, NULL) };
	pthread_t thread;

	shared.fake->held = true;
	pthread_create(&thread, NULL, wait_long, &shared);
	while (!shared.ready || !shared.fake->waiters)
		usleep(100);
	CHECK_EQ(rw_queue_destroy(shared.queue, 5 * RW_NS_PER_MS), -EBUSY);
	CHECK(strstr(rw_detail(), "inside a call"));
	CHECK_EQ(shared.fake->queues_destroyed, 0);
	CHECK_EQ(rw_device_close(&shared.fake->base, 5 * RW_NS_PER_MS), -EBUSY);
	CHECK_EQ(shared.fake->closed, 0);
	shared.fake->held = false;
	CHECK_EQ(rw_queue_destroy(shared.queue, 10 * RW_NS_PER_S), 0);
	pthread_join(thread, NULL);
	CHECK_EQ(fake_close(shared.fake), 0);
}

static void *close_it(void *argument)
{
	struct shared *shared = argument;

	while (!shared->ready)
		;
	CHECK_EQ(rw_device_close(&shared->fake->base, 10 * RW_NS_PER_S), 0);
	CHECK_EQ(shared->fake->closed, 1);
	return NULL;
}

static void closed_once_by_many(void)
{
	for (int round = 0; round < 20; round++) {
		struct shared shared = { .fake = fake_open(&fake_path, NULL) };
		pthread_t threads[THREADS];

		read_once(shared.fake);
		for (int i = 0; i < THREADS; i++)
			pthread_create(&threads[i], NULL, close_it, &shared);
		shared.ready = true;
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		CHECK_EQ(shared.fake->closed, 1);
		CHECK_EQ(shared.fake->queues_destroyed, 1);
		rw_device_destroy(&shared.fake->base);
	}
}

/* -------------------------------------------------------------- all at once */

static bool some_transfers(struct fake_device *fake, char *memory)
{
	struct rw_span span = span_of(memory, 2 * FAKE_MAX);
	int64_t n = rw_device_transfer(&fake->base, RW_READ, 1024, &span, 10 * RW_NS_PER_S);

	while (n == -EINTR)
		n = rw_device_resume(&fake->base, 10 * RW_NS_PER_S);
	return n == 2 * FAKE_MAX && fake_bytes_are(memory, 1024, 2 * FAKE_MAX);
}

static bool a_batch(struct fake_device *fake, char *memory)
{
	static const int64_t offsets[16] = { 0, 512, 4096, 1024, 2048, 512, 0, 8192,
					     1536, 512, 512, 16384, 0, 0, 2560, 3072 };
	struct rw_span span = span_of(memory, 16 * 512);
	struct rw_batch batch;
	int64_t out[32];
	int error = rw_batch_begin(&fake->base, &batch, RW_READ, offsets, 16, 512, &span, 8, out);

	while (error == -EAGAIN || error == -EINTR)
		error = rw_batch_run(&fake->base, &batch, RW_SLICE_NS);
	for (int i = 0; i < 16 && !error; i++)
		if (out[i] != 512 || !fake_bytes_are(memory + 512 * i, (uint64_t)offsets[i], 512))
			return false;
	return !error;
}

static bool a_queue(struct fake_device *fake, char *memory)
{
	struct rw_queue *queue = fake_queue(fake, 8);
	struct rw_span span = span_of(memory, 1024);
	struct rw_completion done[8];
	int n = 0, more = 0;

	for (int i = 0; i < 8; i++)
		n += rw_queue_prepare(queue, RW_READ, 0, &span, 0) > 0;
	for (int waits = 0; more < n && waits < 100; waits++)
		more += rw_queue_reap(queue, done, 1, 8, RW_NS_PER_S);
	return n == 8 && more == 8 && rw_queue_destroy(queue, RW_NS_PER_S) == 0;
}

/* Buffers, registered memory, sync calls, batches and queues of one device from every thread. */
static void *do_everything(void *argument)
{
	struct fake_device *fake = argument;
	char own[512];

	for (int i = 0; i < ROUNDS; i++) {
		struct rw_buffer *buffer = NULL, *registered = NULL;
		char *memory;

		CHECK_EQ(rw_buffer_create(4 * FAKE_MAX, &buffer), 0);
		CHECK_EQ(rw_buffer_register(own, sizeof(own), &registered), 0);
		memory = rw_buffer_memory(buffer);
		CHECK(some_transfers(fake, memory));
		CHECK(a_batch(fake, memory));
		CHECK(i % 8 || a_queue(fake, memory));
		CHECK_EQ(rw_buffer_drop(registered), 1);
		CHECK_EQ(rw_buffer_drop(buffer), 1);
	}
	return NULL;
}

static void all_at_once(const struct rw_path *path)
{
	struct fake_device *fake = fake_open(path, NULL);
	pthread_t threads[THREADS];

	fake->newest_first = true;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, do_everything, fake);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(fake->queues_made, fake->queues_destroyed);
	CHECK_EQ(fake->out, 0);
	CHECK_EQ(fake->base.references, 1);
	CHECK_EQ(fake_close(fake), 0);
}

static void *work_until_closed(void *argument)
{
	struct fake_device *fake = argument;
	char memory[512];
	int64_t n;

	do
		n = read_into(fake, memory, RW_NS_PER_S);
	while (n == 512);
	CHECK_EQ(n, -EBADF);
	return NULL;
}

/* The device goes while threads use it and end, in every order there is. */
static void closing_among_them(void)
{
	for (int round = 0; round < 30; round++) {
		struct fake_device *fake = fake_open(&fake_path, NULL);
		pthread_t threads[THREADS];

		for (int i = 0; i < THREADS; i++)
			pthread_create(&threads[i], NULL, i & 1 ? read_once : work_until_closed,
				       fake);
		pthread_join(threads[1], NULL);
		pthread_join(threads[3], NULL);
		CHECK_EQ(rw_device_close(&fake->base, 10 * RW_NS_PER_S), 0);
		for (int i = 0; i < THREADS; i += 2)
			pthread_join(threads[i], NULL);
		CHECK_EQ(fake->closed, 1);
		CHECK_EQ(fake->queues_made, fake->queues_destroyed);
		CHECK_EQ(fake->base.references, 1);
		rw_device_destroy(&fake->base);
	}
}

int main(void)
{
	ids_are_unique();
	forks_are_counted();
	its_queues_end_with_it();
	its_operations_are_drained();
	explicit_queues_stay();
	closing_while_the_owner_waits();
	destroying_while_the_owner_waits();
	closed_once_by_many();
	all_at_once(&fake_path);
	all_at_once(&fake_sync_path);
	closing_among_them();
	return rw_check_end();
}
