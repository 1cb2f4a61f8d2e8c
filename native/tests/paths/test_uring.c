/* io_uring: data at depth with every option, registered memory, what is refused. */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/error.h"
#include "paths/uring.h"
#include "tests/paths/real_file.h"

enum { MANY = 512 };

static const uint32_t option_sets[] = {
	0, RW_URING_FIXED, RW_URING_SQPOLL, RW_URING_SQPOLL | RW_URING_FIXED, RW_URING_DEFER,
	RW_URING_DEFER | RW_URING_FIXED,
};

static struct rw_buffer *buffer;
static char *memory;

/* -------------------------------------------------------------- data at depth */

static void data_is_right(uint32_t options, bool direct, uint64_t generation)
{
	struct rw_device *device = real_open("io_uring", options, direct);

	if (!device)
		return;
	CHECK_EQ(real_data_is_right(device, memory, MANY, generation).copies, 0);
	real_close(device);
}

/* Zeroes and discards go another way than reads, and come back from the same queue. */
static void specials_among_reads(uint32_t options, uint64_t generation)
{
	struct rw_device *device = real_open("io_uring", options, false);
	struct rw_completion done[8];
	struct rw_queue *queue;

	if (!device)
		return;
	queue = real_queue(device, 8);
	CHECK(real_prepare(queue, RW_READ, 0, memory, 65536) > 0);
	CHECK(real_prepare(queue, RW_WRITE_ZEROES, 1 << 20, NULL, 4096) > 0);
	CHECK(real_prepare(queue, RW_FLUSH, 0, NULL, 0) > 0);
	CHECK(real_prepare(queue, RW_DISCARD, (1 << 20) + 4096, NULL, 4096) > 0);
	CHECK(real_prepare(queue, RW_READ, 65536, memory + 65536, 65536) > 0);
	CHECK_EQ(rw_queue_reap(queue, done, 5, 8, 10 * RW_NS_PER_S), 5);
	for (int i = 0; i < 5; i++)
		CHECK(done[i].result == 65536 || done[i].result == 4096 || done[i].result == 0);
	CHECK(real_bytes_are(memory, 0, 131072, generation));
	CHECK_EQ(real_do(queue, RW_READ, 1 << 20, memory, 8192), 8192);
	for (int i = 0; i < 8192; i++)
		CHECK(!memory[i]);
	real_fill(memory, 1 << 20, 8192, generation);
	CHECK_EQ(real_do(queue, RW_WRITE, 1 << 20, memory, 8192), 8192);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	real_close(device);
}

/* ---------------------------------------------------------- registered memory */

static void new_regions_are_registered(void)
{
	struct rw_device *device = real_open("io_uring", RW_URING_FIXED, false);
	struct rw_buffer *large;
	struct rw_queue *queue;
	char *foreign;

	if (!device)
		return;
	queue = real_queue(device, 8);
	CHECK_EQ(real_do(queue, RW_READ, 4096, memory, 4096), 4096);
	/* A region that comes while the queue is there. */
	CHECK_EQ(rw_buffer_create(80 << 20, &large), 0);
	CHECK(large->region != buffer->region);
	foreign = (char *)rw_buffer_memory(large) + (40 << 20);
	CHECK_EQ(real_do(queue, RW_READ, 8192, foreign, 65536), 65536);
	CHECK(real_bytes_are(foreign, 8192, 65536, 0));
	CHECK_EQ(counters_of(queue).copies, 0);
	CHECK_EQ(rw_buffer_drop(large), 1);
	CHECK_EQ(real_do(queue, RW_READ, 4096, memory, 4096), 4096);
	CHECK_EQ(counters_of(queue).copies, 0);
	/* Memory of no region works, and is counted. */
	foreign = aligned_alloc(4096, 65536);
	CHECK_EQ(real_do(queue, RW_READ, 8192, foreign, 65536), 65536);
	CHECK(real_bytes_are(foreign, 8192, 65536, 0));
	CHECK_EQ(counters_of(queue).copies, 1);
	free(foreign);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	real_close(device);
}

/* A slot of the table that had other memory before: data must not land in that. */
static void a_slot_with_a_second_life(void)
{
	struct rw_device *device = real_open("io_uring", RW_URING_FIXED, false);
	char *first = aligned_alloc(4096, 8192), *second = aligned_alloc(4096, 8192);
	struct rw_buffer *registered;
	struct rw_queue *queue;
	uint32_t slot;

	if (device) {
		queue = real_queue(device, 8);
		CHECK_EQ(rw_buffer_register(first, 8192, &registered), 0);
		slot = registered->region;
		CHECK_EQ(real_do(queue, RW_READ, 0, first, 8192), 8192);
		CHECK_EQ(rw_buffer_drop(registered), 1);
		CHECK_EQ(rw_buffer_register(second, 8192, &registered), 0);
		CHECK_EQ(registered->region, slot);
		memset(first, 0x55, 8192);
		CHECK_EQ(real_do(queue, RW_READ, 16384, second, 8192), 8192);
		CHECK(real_bytes_are(second, 16384, 8192, 0));
		for (int i = 0; i < 8192; i++)
			CHECK_EQ(first[i], 0x55);
		CHECK_EQ(counters_of(queue).copies, 0);
		CHECK_EQ(rw_buffer_drop(registered), 1);
		CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
		real_close(device);
	}
	free(first);
	free(second);
}

/* Memory that the kernel will not register (a file mapped for reading) is used unregistered. */
static void a_refused_region(void)
{
	struct rw_device *device = real_open("io_uring", RW_URING_FIXED, false);
	struct rw_buffer *registered;
	struct rw_queue *queue;
	void *hole;

	if (!device)
		return;
	queue = real_queue(device, 8);
	/* Nothing is mapped here: registering must fail, and so must the I/O, alone. */
	hole = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_EQ(rw_buffer_register(hole, 8192, &registered), 0);
	CHECK_EQ(real_do(queue, RW_READ, 0, hole, 4096), -EFAULT);
	CHECK_EQ(counters_of(queue).copies, 1);
	CHECK_EQ(real_do(queue, RW_READ, 0, memory, 4096), 4096);
	CHECK_EQ(counters_of(queue).copies, 1);
	/* It is not tried again for every operation. */
	CHECK(queue->counters.syscalls < 20);
	CHECK_EQ(rw_buffer_drop(registered), 1);
	munmap(hole, 8192);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	real_close(device);
}

/* ------------------------------------------------------------------- refusals */

static int opened_with(uint32_t options, bool direct)
{
	struct rw_open_request request = { .target = real_name, .path = "io_uring",
					   .options = options, .direct = direct };
	struct rw_device *device;
	int error = rw_device_open(&request, &device);

	if (!error)
		real_close(device);
	return error;
}

static void options_that_cannot_be(void)
{
	CHECK_EQ(opened_with(RW_URING_SQPOLL | RW_URING_DEFER, false), -EINVAL);
	CHECK(strstr(rw_detail(), "exclude each other"));
	CHECK_EQ(opened_with(RW_URING_IOPOLL, false), -EOPNOTSUPP);
	CHECK(strstr(rw_detail(), "O_DIRECT"));
	CHECK_EQ(opened_with(1u << 30, false), -EINVAL);
	CHECK(strstr(rw_detail(), "has no option"));
}

static void a_file_cut_short(void)
{
	struct rw_device *device = real_open("io_uring", 0, false);
	struct rw_queue *queue;

	if (!device)
		return;
	queue = real_queue(device, 8);
	CHECK_EQ(truncate(real_name, REAL_SIZE / 2), 0);
	CHECK_EQ(real_do(queue, RW_READ, REAL_SIZE / 2 - 4096, memory, 8192), -ENODATA);
	CHECK_EQ(real_do(queue, RW_READ, REAL_SIZE / 2, memory, 4096), -ENODATA);
	CHECK_EQ(real_do(queue, RW_READ, REAL_SIZE / 2 - 4096, memory, 4096), 4096);
	CHECK_EQ(truncate(real_name, REAL_SIZE), 0);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	real_close(device);
}

/* The ring out of order for a while: nothing is lost, and nothing is handed over twice. */
static void a_submit_that_fails(void)
{
	struct rw_device *device = real_open("io_uring", 0, false);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), ring, saved;
	struct rw_completion done[128];
	uint8_t seen[100] = { 0 };
	struct rw_queue *queue;

	if (!device)
		return;
	queue = real_queue(device, 128);
	ring = ((struct rw_uring_queue *)queue)->ring.ring_fd;
	saved = dup(ring);
	for (uint64_t i = 0; i < 100; i++)
		CHECK(real_prepare(queue, RW_READ, i * 4096, memory + i * 4096, 4096) > 0);
	dup2(null, ring);
	for (int i = 0; i < 3; i++) {
		rw_queue_submit(queue);
		CHECK_EQ(((struct rw_uring_queue *)queue)->in_kernel + queue->ready_count, 100);
	}
	CHECK(rw_queue_reap(queue, done, 0, 128, 0) < 0);
	dup2(saved, ring);
	CHECK_EQ(rw_queue_reap(queue, done, 100, 128, 10 * RW_NS_PER_S), 100);
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(done[i].result, 4096);
		CHECK_EQ(seen[done[i].user_data / 4096]++, 0);
	}
	CHECK(real_bytes_are(memory, 0, 100 * 4096, 0));
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	close(null);
	close(saved);
	real_close(device);
}

/* --------------------------------------------------------------------- forks */

/* The child finds the ring closed to it, and the parent's goes on undisturbed. */
static void a_forked_child(void)
{
	struct rw_device *device = real_open("io_uring", RW_URING_FIXED, false);
	struct rw_completion done[4];
	struct rw_queue *queue;
	int status = -1;
	pid_t child;

	if (!device)
		return;
	queue = real_queue(device, 8);
	for (uint64_t i = 0; i < 4; i++)
		CHECK(real_prepare(queue, RW_READ, i * 4096, memory + i * 4096, 4096) > 0);
	CHECK_EQ(rw_queue_submit(queue), 4);
	child = fork();
	if (!child) {
		bool refused = rw_queue_reap(queue, done, 1, 4, RW_NS_PER_S) == -ECHILD;

		rw_queue_destroy(queue, RW_NS_PER_S);
		rw_device_close(device, RW_NS_PER_S);
		rw_device_destroy(device);
		_exit(refused ? 0 : 1);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK_EQ(rw_queue_reap(queue, done, 4, 4, 10 * RW_NS_PER_S), 4);
	CHECK(real_bytes_are(memory, 0, 4 * 4096, 0));
	real_read_all(device, memory, 64, 8, 0);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	real_close(device);
}

int main(void)
{
	const uint32_t sets = sizeof(option_sets) / sizeof(option_sets[0]);
	struct rw_device *device;
	uint64_t generation = 0;

	if (!real_create())
		return rw_skip("no file can be made in /var/tmp");
	device = real_open("io_uring", 0, false);
	if (!device) {
		real_remove();
		return rw_skip(rw_detail());
	}
	real_close(device);
	CHECK_EQ(rw_buffer_create(REAL_SIZE, &buffer), 0);
	memory = rw_buffer_memory(buffer);
	new_regions_are_registered();
	a_slot_with_a_second_life();
	a_refused_region();
	a_submit_that_fails();
	a_forked_child();
	for (uint32_t i = 0; i < 2 * sets; i++) {
		device = real_open("io_uring", option_sets[i / 2], i & 1);
		if (!device)
			continue;
		real_close(device);
		data_is_right(option_sets[i / 2], i & 1, generation++);
	}
	for (uint32_t i = 0; i < sets; i++)
		specials_among_reads(option_sets[i], generation);
	options_that_cannot_be();
	a_file_cut_short();
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	rw_buffer_drop(buffer);
	real_remove();
	return rw_check_end();
}
