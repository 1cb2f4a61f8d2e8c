/*
 * The pattern that verifying workloads write. Every 512 bytes carry the offset
 * they belong at, the generation (how often their block has been written) and
 * the seed of the run, and the rest of them follows from these three. So a
 * check finds data that is misplaced, stale, torn between two writes, from
 * another run, or damaged in any bit.
 *
 * Memory is aligned to 8 bytes; offsets are those on the device.
 */
#ifndef RW_CORE_PATTERN_H
#define RW_CORE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RW_PATTERN_UNIT = 512,       /* lengths are multiples of it */
	RW_PATTERN_ANY_GENERATION = 0 /* to the check: whichever, but one for all units */
};

/* Generations start at 1. */
void rw_pattern_fill(void *memory, size_t length, uint64_t offset, uint32_t generation,
		     uint64_t seed);
bool rw_pattern_check(const void *memory, size_t length, uint64_t offset, uint32_t generation,
		      uint64_t seed);
/* Says what is wrong with memory that failed the check, in one sentence. */
void rw_pattern_explain(const void *memory, size_t length, uint64_t offset, uint32_t generation,
			uint64_t seed, char *text, size_t size);

#endif
