/*
 * A rate limit: a schedule of moments, one per operation. Times are counted
 * from the start of the run in 1/256 ns, so that high rates stay exact.
 */
#ifndef RW_WORKLOAD_PACE_H
#define RW_WORKLOAD_PACE_H

#include <stdint.h>

#include "core/clock.h"

enum { RW_PACE_SHIFT = 8 };

/* A thread that was late for up to this long makes up for it. */
#define RW_PACE_PATIENCE_NS (100 * RW_NS_PER_MS)

struct rw_pace {
	int64_t start_ns;
	uint64_t interval;       /* 0: no limit */
	uint64_t due;            /* the next operation's moment */
	uint64_t patience;       /* how far the schedule may fall behind */
};

/* Between operations of each of `threads` threads that make `rate` per second together. */
static inline uint64_t rw_pace_interval(uint64_t rate, uint32_t threads)
{
	return threads * ((uint64_t)RW_NS_PER_S << RW_PACE_SHIFT) / rate;
}

/* `lead` of 0..threads-1 keeps the threads from issuing all at once. */
static inline void rw_pace_init(struct rw_pace *pace, int64_t start_ns, uint64_t interval,
				uint32_t threads, uint32_t lead, uint32_t depth)
{
	pace->start_ns = start_ns;
	pace->interval = interval;
	pace->due = interval / threads * lead;
	pace->patience = (uint64_t)RW_PACE_PATIENCE_NS << RW_PACE_SHIFT;
	if (pace->patience < interval * depth)
		pace->patience = interval * depth;
}

/*
 * How many of up to `wanted` operations are due. What a slow device has missed
 * is forgotten when it would take it more than a moment to catch up.
 */
static inline uint32_t rw_pace_take(struct rw_pace *pace, int64_t now, uint32_t wanted)
{
	uint64_t time = (uint64_t)(now - pace->start_ns) << RW_PACE_SHIFT;
	uint32_t n = 0;

	if (!pace->interval)
		return wanted;
	if (time > pace->due + pace->patience)
		pace->due = time - pace->patience;
	while (n < wanted && pace->due <= time) {
		pace->due += pace->interval;
		n++;
	}
	return n;
}

/* When the next operation is due; rounded up, so that waiting for it is enough. */
static inline int64_t rw_pace_due_ns(const struct rw_pace *pace)
{
	return pace->start_ns + (int64_t)(pace->due >> RW_PACE_SHIFT) + 1;
}

#endif
