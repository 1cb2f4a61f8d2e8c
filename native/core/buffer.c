/* The buffer pool: pieces of regions, counted by their holders. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/region.h"
#include "core/thread.h"

/* An empty region above this size goes back to the system. */
#define KEEP_AT_MOST (64ull << 20)

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rw_memory_stats stats;

static void lock_pool(void)
{
	pthread_mutex_lock(&pool_lock);
}

static void unlock_pool(void)
{
	pthread_mutex_unlock(&pool_lock);
}

/* A fork must not copy the lock while another thread holds it. */
__attribute__((constructor)) static void guard_fork(void)
{
	pthread_atfork(lock_pool, unlock_pool, unlock_pool);
}

static uint64_t pages_of(uint64_t length)
{
	return (length + RW_PAGE - 1) / RW_PAGE;
}

/* First page of a free run, or -1. Regions of a parent process are not ours to share out. */
static int64_t find_run(const struct rw_region *region, uint64_t pages)
{
	uint64_t total = atomic_load(&region->length) / RW_PAGE;
	uint64_t start = 0, page = 0;

	if (!total || region->fd < 0 || region->fork_generation != rw_fork_generation)
		return -1;
	while (page - start < pages && page < total) {
		if (!region->owner[page]) {
			page++;
			continue;
		}
		page += pages_of(region->owner[page]->length);
		start = page;
	}
	return page - start < pages ? -1 : (int64_t)start;
}

static void note_region(const struct rw_region *region, int sign)
{
	uint64_t length = atomic_load(&region->length);

	stats.regions += (uint64_t)sign;
	stats.region_bytes += (uint64_t)sign * length;
	stats.huge_bytes += region->huge ? (uint64_t)sign * length : 0;
}

/*
 * Regions are few: each new one is at least a quarter of all there are, as long
 * as that keeps it registrable with io_uring.
 */
static uint64_t growth(uint64_t length)
{
	uint64_t share = stats.region_bytes / 4;

	if (share > RW_LONGEST_REGISTERED)
		share = RW_LONGEST_REGISTERED;
	return length > share ? length : share;
}

/* The region and first page for a new buffer; makes a region where none has room. */
static int place(uint64_t length, uint64_t *page)
{
	int index;

	for (index = 0; index < RW_MAX_REGIONS; index++) {
		int64_t run = find_run(&rw_regions[index], pages_of(length));

		if (run < 0)
			continue;
		*page = (uint64_t)run;
		return index;
	}
	index = rw_region_map_new(growth(length));
	if (index == -ENOMEM)
		index = rw_region_map_new(length);
	if (index >= 0)
		note_region(&rw_regions[index], 1);
	*page = 0;
	return index;
}

static void own_pages(const struct rw_buffer *buffer, struct rw_buffer *owner)
{
	const struct rw_region *region = &rw_regions[buffer->region];
	uint64_t first = (buffer->memory - atomic_load(&region->base)) / RW_PAGE;

	for (uint64_t i = 0; i < pages_of(buffer->length); i++)
		region->owner[first + i] = owner;
}

/* Under the lock. Returns how many bytes at its start were in use before. */
static uint64_t take(struct rw_buffer *buffer, uint32_t index, uint64_t page)
{
	struct rw_region *region = &rw_regions[index];
	uint64_t used = region->fresh > page ? (region->fresh - page) * RW_PAGE : 0;
	uint64_t end = page + pages_of(buffer->length);

	buffer->region = index;
	buffer->memory = atomic_load(&region->base) + page * RW_PAGE;
	own_pages(buffer, buffer);
	if (region->fresh < end)
		region->fresh = end;
	stats.buffers++;
	stats.buffer_bytes += buffer->length;
	return used < buffer->length ? used : buffer->length;
}

static struct rw_buffer *buffer_new(uint64_t length)
{
	struct rw_buffer *buffer = calloc(1, sizeof(*buffer));

	if (!buffer)
		return NULL;
	buffer->length = length;
	atomic_init(&buffer->holders, 1);
	return buffer;
}

int rw_buffer_create(uint64_t length, struct rw_buffer **out)
{
	struct rw_buffer *buffer;
	uint64_t page, used;
	int index;

	if (!length || length > INT64_MAX / 2)
		return rw_fail(EINVAL, "a buffer of %llu bytes cannot be made",
			       (unsigned long long)length);
	buffer = buffer_new(length);
	if (!buffer)
		return rw_fail(ENOMEM, "no memory for a buffer's record");
	lock_pool();
	index = place(length, &page);
	if (index < 0) {
		unlock_pool();
		free(buffer);
		return index;
	}
	used = take(buffer, (uint32_t)index, page);
	unlock_pool();
	memset((void *)buffer->memory, 0, used);
	*out = buffer;
	return 0;
}

int rw_buffer_register(void *memory, uint64_t length, struct rw_buffer **out)
{
	struct rw_buffer *buffer;
	int index;

	if (!memory || !length || length > UINTPTR_MAX - (uintptr_t)memory)
		return rw_fail(EINVAL, "there is no memory to register");
	buffer = buffer_new(length);
	if (!buffer)
		return rw_fail(ENOMEM, "no memory for a buffer's record");
	lock_pool();
	index = rw_region_adopt((uintptr_t)memory, length);
	if (index >= 0) {
		buffer->region = (uint32_t)index;
		buffer->memory = (uintptr_t)memory;
		rw_regions[index].owner[0] = buffer;
		stats.buffers++;
		stats.buffer_bytes += length;
	}
	unlock_pool();
	if (index < 0) {
		free(buffer);
		return index;
	}
	*out = buffer;
	return 0;
}

void rw_buffer_hold(struct rw_buffer *buffer)
{
	atomic_fetch_add_explicit(&buffer->holders, 1, memory_order_relaxed);
}

static bool region_is_empty(const struct rw_region *region)
{
	for (uint64_t i = 0; i < atomic_load(&region->length) / RW_PAGE; i++)
		if (region->owner[i])
			return false;
	return true;
}

static void give_back(struct rw_buffer *buffer)
{
	struct rw_region *region = &rw_regions[buffer->region];

	stats.buffers--;
	stats.buffer_bytes -= buffer->length;
	if (region->fd < 0) {
		rw_region_remove(buffer->region);
		return;
	}
	own_pages(buffer, NULL);
	if (atomic_load(&region->length) <= KEEP_AT_MOST || !region_is_empty(region))
		return;
	note_region(region, -1);
	rw_region_remove(buffer->region);
}

int rw_buffer_drop(struct rw_buffer *buffer)
{
	if (atomic_fetch_sub_explicit(&buffer->holders, 1, memory_order_acq_rel) != 1)
		return 0;
	lock_pool();
	give_back(buffer);
	unlock_pool();
	free(buffer);
	return 1;
}

void *rw_buffer_memory(const struct rw_buffer *buffer)
{
	return (void *)buffer->memory;
}

uint64_t rw_buffer_length(const struct rw_buffer *buffer)
{
	return buffer->length;
}

uint32_t rw_buffer_holders(const struct rw_buffer *buffer)
{
	return atomic_load(&buffer->holders);
}

bool rw_memory_known(const struct rw_span *span)
{
	uint32_t region = 0;

	return rw_memory_find(span->memory, span->length, &region) != NULL;
}

void rw_memory_stats(struct rw_memory_stats *out)
{
	lock_pool();
	*out = stats;
	unlock_pool();
}
