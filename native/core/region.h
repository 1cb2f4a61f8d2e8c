/*
 * Regions: the few large pieces of memory that devices are told about. Most
 * are memfd mappings of the buffer pool; memory that a caller registers is a
 * region of its own. A region is mapped into a device once; I/O finds its
 * region by address.
 */
#ifndef RW_CORE_REGION_H
#define RW_CORE_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ringway.h"

enum { RW_MAX_REGIONS = 64, RW_PAGE = 4096 };
/* The pool grows by at least this; bytes. */
#define RW_SMALLEST_REGION (16ull << 20)
/* The kernel registers no longer buffer with an io_uring; bytes. */
#define RW_LONGEST_REGISTERED (1ull << 30)

struct rw_region {
	_Atomic uintptr_t base;
	_Atomic uint64_t length;         /* 0: the slot is empty */
	_Atomic uint32_t serial;         /* tells two lives of one slot apart */
	int fd;                          /* memfd; -1: the caller's memory */
	bool huge;
	uint32_t fork_generation;        /* process that may allocate from it */
	uint64_t fresh;                  /* first page never handed out: still zero */
	struct rw_buffer **owner;        /* per page; of the caller's memory one entry */
};

struct rw_buffer {
	_Atomic uint32_t holders;
	uint32_t region;
	uintptr_t memory;
	uint64_t length;
};

extern struct rw_region rw_regions[RW_MAX_REGIONS];
/* Counts the regions that are gone. */
extern _Atomic uint32_t rw_region_removals;

/* Under the caller's lock: a new mapping of at least `length` bytes; its index or -errno. */
int rw_region_map_new(uint64_t length);
/* Under the caller's lock: the caller's memory as a region; its index or -errno. */
int rw_region_adopt(uintptr_t memory, uint64_t length);
/* Under the caller's lock: forgets the region, unmapping what is ours. */
void rw_region_remove(uint32_t index);

static inline bool rw_region_covers(uint32_t index, uintptr_t memory)
{
	const struct rw_region *region = &rw_regions[index];

	return memory - atomic_load_explicit(&region->base, memory_order_relaxed) <
	       atomic_load_explicit(&region->length, memory_order_acquire);
}

/*
 * The buffer that holds all of [memory, memory + length), NULL when there is
 * none; *region is where it lies and, on entry, where to look first. Takes no
 * lock: whoever asks holds the buffer, so its region stays; of other regions
 * that come and go meanwhile a hit is verified.
 */
struct rw_buffer *rw_memory_find(uintptr_t memory, uint64_t length, uint32_t *region);

#endif
