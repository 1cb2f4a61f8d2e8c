/* The parts of the histogram that no operation waits for. */
#include "core/histogram.h"

#include <string.h>

/* 57 octaves from 2^7 up to 2^64, and the exact values below them. */
_Static_assert(RW_HISTOGRAM_BUCKETS == (64 - RW_HISTOGRAM_SHIFT + 1) * RW_HISTOGRAM_PER_OCTAVE,
	       "the buckets cover every 64-bit value");

uint32_t rw_histogram_bucket(uint64_t value_ns)
{
	return rw_histogram_index(value_ns);
}

uint64_t rw_histogram_value(uint32_t bucket)
{
	uint32_t octave;

	if (bucket >= RW_HISTOGRAM_BUCKETS)
		return UINT64_MAX;
	if (bucket < 2 * RW_HISTOGRAM_PER_OCTAVE)
		return bucket;
	octave = bucket / RW_HISTOGRAM_PER_OCTAVE - 1;
	return (uint64_t)(bucket - octave * RW_HISTOGRAM_PER_OCTAVE) << octave;
}

void rw_histogram_init(struct rw_histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
	histogram->min = UINT64_MAX;
}

void rw_histogram_merge(struct rw_histogram *into, const struct rw_histogram *from)
{
	into->sum += from->sum;
	into->min = from->min < into->min ? from->min : into->min;
	into->max = from->max > into->max ? from->max : into->max;
	for (uint32_t i = 0; i < RW_HISTOGRAM_BUCKETS; i++)
		into->counts[i] += from->counts[i];
}
