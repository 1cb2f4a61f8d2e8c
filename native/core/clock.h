/* Time as the core sees it: monotonic nanoseconds. */
#ifndef RW_CORE_CLOCK_H
#define RW_CORE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define RW_NS_PER_S 1000000000LL
#define RW_NS_PER_MS 1000000LL

static inline int64_t rw_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * RW_NS_PER_S + t.tv_nsec;
}

/* The moment timeout_ns from now, without overflow for very long timeouts. */
static inline int64_t rw_deadline_ns(int64_t timeout_ns)
{
	int64_t now = rw_now_ns();

	return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

#endif
