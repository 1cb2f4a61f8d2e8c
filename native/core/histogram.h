/*
 * Log-linear histogram of times: every octave is cut into 128 buckets of equal
 * width, so a bucket is at most 1/128 (0.8 %) of its values wide, and values
 * below 256 are exact.
 */
#ifndef RW_CORE_HISTOGRAM_H
#define RW_CORE_HISTOGRAM_H

#include <stdint.h>

#include "ringway.h"

enum { RW_HISTOGRAM_SHIFT = 7, RW_HISTOGRAM_PER_OCTAVE = 1 << RW_HISTOGRAM_SHIFT };

struct rw_histogram {
	uint64_t min, max, sum;
	uint64_t counts[RW_HISTOGRAM_BUCKETS];
};

/*
 * Values below 128 are their own bucket. Above, the leading 8 bits pick it:
 * one of them is always set and lets each octave follow the one before it.
 */
static inline uint32_t rw_histogram_index(uint64_t value)
{
	uint32_t octave = 63 - RW_HISTOGRAM_SHIFT -
			  (uint32_t)__builtin_clzll(value | RW_HISTOGRAM_PER_OCTAVE);

	return octave * RW_HISTOGRAM_PER_OCTAVE + (uint32_t)(value >> octave);
}

static inline void rw_histogram_record(struct rw_histogram *histogram, uint64_t value)
{
	histogram->counts[rw_histogram_index(value)]++;
	histogram->sum += value;
	histogram->min = value < histogram->min ? value : histogram->min;
	histogram->max = value > histogram->max ? value : histogram->max;
}

/* Empty; min is then UINT64_MAX, so that the first value replaces it. */
void rw_histogram_init(struct rw_histogram *histogram);
void rw_histogram_merge(struct rw_histogram *into, const struct rw_histogram *from);

#endif
