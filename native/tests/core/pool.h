/* The pool of memory, asked and used by its tests. */
#ifndef RW_TESTS_CORE_POOL_H
#define RW_TESTS_CORE_POOL_H

#include "ringway.h"
#include "tests/check.h"

static inline struct rw_memory_stats stats(void)
{
	struct rw_memory_stats out;

	rw_memory_stats(&out);
	return out;
}

static inline struct rw_buffer *buffer_of(uint64_t length)
{
	struct rw_buffer *buffer = NULL;

	CHECK_EQ(rw_buffer_create(length, &buffer), 0);
	return buffer;
}

#endif
