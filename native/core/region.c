/* The region table: mapping, adopting, finding by address. */
#define _GNU_SOURCE
#include "core/region.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/device.h"
#include "core/error.h"
#include "core/thread.h"

#define HUGE_PAGE (2ull << 20)

struct rw_region rw_regions[RW_MAX_REGIONS];
_Atomic uint32_t rw_region_removals;

static _Atomic uint32_t slots_used; /* slots [0, slots_used) have been in use */
static uint32_t last_serial;

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

static uint64_t free_huge_bytes(void)
{
	FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	unsigned long long pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%llu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * HUGE_PAGE;
}

/* What can be had without driving the system into killing somebody. */
static uint64_t available_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib;
	bool found = false;
	char line[128];

	if (!file)
		return UINT64_MAX;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
	fclose(file);
	return found ? kib << 10 : UINT64_MAX;
}

/*
 * Takes every page now, where a lack of them is an error that can be handled;
 * at first touch it would be SIGBUS. On older kernels a signal makes
 * fallocate() give back what it has: in small steps it gets on all the same.
 */
static bool take_pages(int fd, uint64_t length)
{
	for (uint64_t done = 0; done < length; done += HUGE_PAGE)
		while (fallocate(fd, 0, (off_t)done, HUGE_PAGE))
			if (errno != EINTR)
				return false;
	return true;
}

static void *map_memfd(uint64_t length, unsigned int flags, int *fd)
{
	void *base;

	*fd = memfd_create("ringway", MFD_CLOEXEC | flags);
	if (*fd < 0)
		return NULL;
	if (ftruncate(*fd, (off_t)length) || !take_pages(*fd, length))
		goto failed;
	base = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, *fd, 0);
	if (base != MAP_FAILED)
		return base;
failed:
	close(*fd);
	*fd = -1;
	return NULL;
}

static int free_slot(void)
{
	for (int i = 0; i < RW_MAX_REGIONS; i++)
		if (!atomic_load(&rw_regions[i].length))
			return i;
	return rw_fail(ENOSPC, "%d memory regions are in use; release registered memory first",
		       RW_MAX_REGIONS);
}

/* Readers look at length first: it is published last. */
static void publish(int index, uintptr_t base, uint64_t length)
{
	struct rw_region *region = &rw_regions[index];

	region->fork_generation = rw_fork_generation;
	region->fresh = 0;
	atomic_store(&region->serial, ++last_serial);
	atomic_store(&region->base, base);
	atomic_store(&region->length, length);
	if ((uint32_t)index >= atomic_load(&slots_used))
		atomic_store(&slots_used, (uint32_t)index + 1);
}

int rw_region_map_new(uint64_t length)
{
	int index = free_slot();
	struct rw_region *region;
	void *base = NULL;

	if (index < 0)
		return index;
	region = &rw_regions[index];
	length = round_up(length > RW_SMALLEST_REGION ? length : RW_SMALLEST_REGION, HUGE_PAGE);
	if (free_huge_bytes() >= length)
		base = map_memfd(length, MFD_HUGETLB | MFD_HUGE_2MB, &region->fd);
	region->huge = base != NULL;
	if (!base && available_bytes() >= length)
		base = map_memfd(length, 0, &region->fd);
	if (!base)
		return rw_fail(ENOMEM, "no %llu bytes of memory for buffers",
			       (unsigned long long)length);
	region->owner = calloc(length / RW_PAGE, sizeof(*region->owner));
	if (!region->owner) {
		munmap(base, length);
		close(region->fd);
		return rw_fail(ENOMEM, "no memory for the table of a new region");
	}
	publish(index, (uintptr_t)base, length);
	return index;
}

static bool overlaps(const struct rw_region *region, uintptr_t memory, uint64_t length)
{
	uintptr_t base = atomic_load(&region->base);
	uint64_t size = atomic_load(&region->length);

	return size && memory < base + size && base < memory + length;
}

int rw_region_adopt(uintptr_t memory, uint64_t length)
{
	int index = free_slot();

	if (index < 0)
		return index;
	for (int i = 0; i < RW_MAX_REGIONS; i++)
		if (overlaps(&rw_regions[i], memory, length))
			return rw_fail(EEXIST, "this memory overlaps memory that is registered already");
	rw_regions[index].owner = calloc(1, sizeof(*rw_regions[index].owner));
	if (!rw_regions[index].owner)
		return rw_fail(ENOMEM, "no memory for the table of a new region");
	rw_regions[index].fd = -1;
	rw_regions[index].huge = false;
	publish(index, memory, length);
	return index;
}

void rw_region_remove(uint32_t index)
{
	struct rw_region *region = &rw_regions[index];
	void *base = (void *)atomic_load(&region->base);
	uint64_t length = atomic_load(&region->length);

	rw_devices_unmap(index);
	atomic_store(&region->length, 0);
	atomic_fetch_add(&rw_region_removals, 1);
	free(region->owner);
	region->owner = NULL;
	if (region->fd < 0)
		return;
	munmap(base, length);
	close(region->fd);
}

static struct rw_buffer *buffer_in(uint32_t index, uintptr_t memory, uint64_t length)
{
	const struct rw_region *region = &rw_regions[index];
	uint32_t serial = atomic_load(&region->serial);
	struct rw_buffer *buffer;
	uint64_t page;

	if (!rw_region_covers(index, memory))
		return NULL;
	page = region->fd < 0 ? 0 : (memory - atomic_load(&region->base)) / RW_PAGE;
	if (serial != atomic_load(&region->serial))
		return NULL;
	buffer = region->owner[page];
	if (!buffer || memory < buffer->memory || length > buffer->length ||
	    memory - buffer->memory > buffer->length - length)
		return NULL;
	return buffer;
}

struct rw_buffer *rw_memory_find(uintptr_t memory, uint64_t length, uint32_t *region)
{
	uint32_t slots = atomic_load_explicit(&slots_used, memory_order_acquire);
	struct rw_buffer *buffer;

	if (*region < slots && rw_region_covers(*region, memory))
		return buffer_in(*region, memory, length);
	for (uint32_t i = 0; i < slots; i++) {
		buffer = buffer_in(i, memory, length);
		if (!buffer)
			continue;
		*region = i;
		return buffer;
	}
	return NULL;
}
