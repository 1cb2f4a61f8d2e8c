/* Regions registered in windows: which slot a part's memory has, on a ring of its own. */
#include <stdlib.h>

#include "core/open.h"
#include "paths/file.h"
#include "paths/uring.h"
#include "tests/paths/real_file.h"

extern const struct rw_path rw_io_uring_path;

enum { SHIFT = 17, WINDOW = 1 << SHIFT };

static struct rw_uring_queue *queue;
static struct rw_buffer *buffer;

static int slot_of(const struct rw_buffer *memory, uint64_t offset, uint32_t length)
{
	const struct rw_part part = {
		.memory = (uintptr_t)rw_buffer_memory(memory) + offset,
		.length = length,
		.region = (int16_t)memory->region,
	};

	return rw_uring_find_slot(queue, &part);
}

static uint64_t calls(void)
{
	return queue->line.base.counters.syscalls;
}

static void each_window_once(void)
{
	int first = slot_of(buffer, 0, 4096);
	uint64_t before = calls();

	CHECK(first >= 0);
	CHECK_EQ(slot_of(buffer, 4096, 4096), first);
	CHECK_EQ(slot_of(buffer, 0, WINDOW), first);
	CHECK_EQ(calls(), before);
	CHECK_EQ(slot_of(buffer, WINDOW, WINDOW), first + 1);
	CHECK_EQ(slot_of(buffer, 2 * WINDOW + 512, 512), first + 2);
	CHECK_EQ(calls(), before + 2);
}

static void across_an_edge(void)
{
	uint64_t before = calls();

	CHECK_EQ(slot_of(buffer, WINDOW - 4096, 8192), -1);
	CHECK_EQ(slot_of(buffer, 0, WINDOW + 4096), -1);
	CHECK_EQ(calls(), before);
}

/* Rows of slots lie far apart, and a region that is gone gives its slots back. */
static void another_region(void)
{
	char *memory = aligned_alloc(4096, 2 * WINDOW);
	struct rw_buffer *other;
	uint32_t taken = 0;

	CHECK_EQ(rw_buffer_register(memory, 2 * WINDOW, &other), 0);
	CHECK(other->region != buffer->region);
	CHECK(abs(slot_of(other, 0, 4096) - slot_of(buffer, 0, 4096)) >= 64);
	CHECK_EQ(rw_buffer_drop(other), 1);
	rw_uring_tidy(queue);
	for (uint32_t i = 0; i < queue->slot_count; i++)
		taken += queue->slots[i].serial != 0;
	CHECK_EQ(taken, 3);
	free(memory);
}

int main(void)
{
	struct rw_device *device;
	int error;

	if (!real_create())
		return rw_skip("no file can be made in /var/tmp");
	device = real_open("io_uring", RW_URING_FIXED, false);
	queue = calloc(1, sizeof(*queue));
	if (!device || !queue) {
		real_remove();
		return rw_skip(rw_detail());
	}
	CHECK_EQ(rw_buffer_create(4 * WINDOW, &buffer), 0);
	queue->line.base.device = device;
	queue->line.base.path = &rw_io_uring_path;
	queue->line.base.depth = 8;
	queue->line.base.event_fd = -1;
	error = rw_uring_create(&queue->line.base, ((struct rw_file *)device)->fd, RW_URING_FIXED,
				SHIFT);
	CHECK_EQ(error, 0);
	if (!error) {
		each_window_once();
		across_an_edge();
		another_region();
		rw_uring_destroy(&queue->line.base);
	}
	free(queue);
	rw_buffer_drop(buffer);
	real_close(device);
	real_remove();
	return rw_check_end();
}
