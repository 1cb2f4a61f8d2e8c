/* Paths that work in the calling thread: null, mem and posix, and the line their parts stand in. */
#include <errno.h>

#include "paths/inline.h"
#include "tests/paths/real_file.h"

enum { MEM_SIZE = 1 << 20 };

static char memory[MEM_SIZE] __attribute__((aligned(4096)));

static struct rw_device *open_target(const char *target, bool writable, bool direct)
{
	struct rw_open_request request = { .target = target, .writable = writable,
					   .direct = direct };
	struct rw_device *device = NULL;

	CHECK_EQ(rw_device_open(&request, &device), 0);
	return device;
}

static int64_t transfer(struct rw_device *device, uint32_t opcode, uint64_t offset, uint64_t length)
{
	struct rw_span span = { (uintptr_t)memory, length };

	return rw_device_transfer(device, opcode, offset, &span, RW_NS_PER_S);
}

static bool all_are(unsigned char byte, uint64_t from, uint64_t length)
{
	for (uint64_t i = from; i < from + length; i++)
		if ((unsigned char)memory[i] != byte)
			return false;
	return true;
}

/* -------------------------------------------------------------- null and mem */

static void mem_keeps_data(void)
{
	struct rw_device *device = open_target("mem:1MiB", true, false);
	struct rw_device *other = open_target("mem:1MiB", true, false);

	memset(memory, 1, MEM_SIZE);
	CHECK_EQ(transfer(device, RW_READ, 0, MEM_SIZE), MEM_SIZE);
	CHECK(all_are(0, 0, MEM_SIZE));
	memset(memory, 0x5a, MEM_SIZE);
	CHECK_EQ(transfer(device, RW_WRITE, 100, 1001), 1001);
	memset(memory, 1, MEM_SIZE);
	CHECK_EQ(transfer(device, RW_READ, 0, 2000), 2000);
	CHECK(all_are(0, 0, 100) && all_are(0x5a, 100, 1001) && all_are(0, 1101, 899));
	CHECK_EQ(transfer(device, RW_WRITE_ZEROES, 200, 100), 100);
	CHECK_EQ(transfer(device, RW_DISCARD, 400, 100), 100);
	CHECK_EQ(transfer(device, RW_FLUSH, 0, 0), 0);
	CHECK_EQ(transfer(device, RW_READ, 0, 2000), 2000);
	CHECK(all_are(0x5a, 100, 100) && all_are(0, 200, 100) && all_are(0x5a, 300, 100));
	/* Each is private to whoever opened it. */
	CHECK_EQ(transfer(other, RW_READ, 0, 2000), 2000);
	CHECK(all_are(0, 0, 2000));
	real_close(device);
	real_close(other);
}

/* Direct devices move whole blocks, as a drive does; the last may be part of one. */
static void mem_with_an_odd_size(void)
{
	struct rw_device *device = open_target("mem:1000", true, true);

	CHECK_EQ(transfer(device, RW_READ, 1, 512), -EINVAL);
	CHECK_EQ(transfer(device, RW_READ, 0, 100), -EINVAL);
	memset(memory, 0x5a, 1024);
	CHECK_EQ(transfer(device, RW_WRITE, 0, 1024), 1000);
	memset(memory, 1, 1024);
	CHECK_EQ(transfer(device, RW_READ, 512, 512), 488);
	CHECK(all_are(0x5a, 0, 488) && all_are(1, 488, 24));
	CHECK_EQ(transfer(device, RW_READ, 1024, 512), -ERANGE);
	real_close(device);
}

static void null_moves_nothing(void)
{
	struct rw_device *device = open_target("null:1GiB", true, true);

	memset(memory, 0x5a, MEM_SIZE);
	CHECK_EQ(transfer(device, RW_READ, 0, MEM_SIZE), MEM_SIZE);
	CHECK(all_are(0x5a, 0, MEM_SIZE));
	CHECK_EQ(transfer(device, RW_WRITE, (1u << 30) - 512, 512), 512);
	CHECK_EQ(transfer(device, RW_WRITE, 1u << 30, 512), -ERANGE);
	CHECK_EQ(transfer(device, RW_FLUSH, 0, 0), 0);
	real_close(device);
	device = open_target("null:1GiB", false, true);
	CHECK_EQ(transfer(device, RW_WRITE, 0, 512), -EROFS);
	real_close(device);
}

/* Work happens when it is reaped, as much as is asked for, in the order it came. */
static void work_is_done_in_reap(void)
{
	struct rw_device *device = open_target("mem:1MiB", true, false);
	struct rw_queue *queue = real_queue(device, 8);
	struct rw_completion done[8];

	memset(memory, 1, MEM_SIZE);
	for (int round = 0; round < 5; round++) { /* the line goes round */
		for (uint64_t i = 0; i < 8; i++)
			CHECK(real_prepare(queue, RW_READ, 512 * i, memory + 512 * i, 512) > 0);
		CHECK_EQ(rw_queue_submit(queue), 8);
		CHECK(round || all_are(1, 0, 4096));
		CHECK_EQ(rw_queue_reap(queue, done, 0, 3, 0), 3);
		CHECK(round || (all_are(0, 0, 1536) && all_are(1, 1536, 2560)));
		CHECK_EQ(rw_queue_reap(queue, done + 3, 5, 8, RW_NS_PER_S), 5);
		for (uint64_t i = 0; i < 8; i++)
			CHECK_EQ(done[i].user_data, 512 * i);
	}
	CHECK_EQ(rw_queue_event_fd(queue), -EOPNOTSUPP);
	CHECK_EQ(counters_of(queue).syscalls, 0);
	CHECK_EQ(counters_of(queue).operations, 40);
	CHECK(real_prepare(queue, RW_READ, 0, memory, 512) > 0);
	CHECK_EQ(rw_queue_destroy(queue, 0), 0);
	real_close(device);
}

/* --------------------------------------------------------------------- posix */

static void posix_reads_and_writes(void)
{
	struct rw_device *device = real_open("posix", 0, false);
	struct rw_buffer *buffer;
	struct rw_queue *queue;

	if (!device)
		return;
	CHECK_EQ(rw_buffer_create(REAL_SIZE, &buffer), 0);
	real_read_all(device, rw_buffer_memory(buffer), 256, 32, 0);
	queue = real_queue(device, 16);
	real_write_all(queue, rw_buffer_memory(buffer), 1);
	CHECK_EQ(counters_of(queue).operations, REAL_BLOCKS);
	CHECK_EQ(counters_of(queue).syscalls, REAL_BLOCKS);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	CHECK_EQ(rw_buffer_drop(buffer), 1);
	real_close(device);
}

static void posix_direct(void)
{
	struct rw_device *device = real_open("posix", 0, true);

	if (!device)
		return;
	CHECK_EQ(transfer(device, RW_READ, MEM_SIZE, MEM_SIZE), MEM_SIZE);
	CHECK(real_bytes_are(memory, MEM_SIZE, MEM_SIZE, 1));
	real_fill(memory, MEM_SIZE, MEM_SIZE, 2);
	CHECK_EQ(transfer(device, RW_WRITE, MEM_SIZE, MEM_SIZE), MEM_SIZE);
	CHECK_EQ(transfer(device, RW_FLUSH, 0, 0), 0);
	memset(memory, 0, MEM_SIZE);
	CHECK_EQ(transfer(device, RW_READ, MEM_SIZE, MEM_SIZE), MEM_SIZE);
	CHECK(real_bytes_are(memory, MEM_SIZE, MEM_SIZE, 2));
	real_close(device);
}

/* Slow parts: a reap comes back between them, and says that there are more. */
static int64_t slow_transfer(struct rw_device *device, const struct rw_part *part)
{
	(void)device;
	usleep(6000);
	return part->length;
}

static int announced(struct rw_queue *queue)
{
	(void)queue;
	return 0;
}

static void slow_parts(void)
{
	struct rw_device *device = open_target("null:1MiB", true, false);
	struct rw_path slow = *device->path;
	struct rw_completion done[8];
	struct rw_queue *queue;
	uint64_t count = 0;
	int fd, n;

	slow.transfer = slow_transfer;
	slow.reap = rw_inline_reap_slow;
	slow.event_fd = announced;
	device->path = &slow;
	queue = real_queue(device, 8);
	fd = rw_queue_event_fd(queue);
	CHECK(fd >= 0);
	for (uint64_t i = 0; i < 5; i++)
		CHECK(real_prepare(queue, RW_READ, 512 * i, memory, 512) > 0);
	CHECK_EQ(rw_queue_submit(queue), 5);
	n = rw_queue_reap(queue, done, 0, 8, 0);
	CHECK(n > 0 && n < 5);
	/* The fd, read in the reap, was made readable again: somebody may sleep on it. */
	CHECK_EQ(read(fd, &count, sizeof(count)), sizeof(count));
	CHECK(count > 0);
	CHECK_EQ(rw_queue_reap(queue, done, 5, 8, RW_NS_PER_S), 5 - n);
	CHECK(counters_of(queue).syscalls >= 5);
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	real_close(device);
}

int main(void)
{
	mem_keeps_data();
	mem_with_an_odd_size();
	null_moves_nothing();
	work_is_done_in_reap();
	slow_parts();
	if (real_create()) {
		posix_reads_and_writes();
		posix_direct();
	} else {
		fprintf(stderr, "posix left out: no file can be made in /var/tmp\n");
	}
	real_remove();
	return rw_check_end();
}
