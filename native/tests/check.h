/*
 * A unit test is one program per topic: main() calls its cases and ends with
 * `return rw_check_end();`. A failed CHECK is counted and told with its line,
 * and the test goes on. A test that cannot run here returns rw_skip("why").
 */
#ifndef RW_TESTS_CHECK_H
#define RW_TESTS_CHECK_H

#include <inttypes.h>
#include <stdio.h>

static _Atomic int rw_checks, rw_failures; /* checks may be made on any thread */

#define CHECK(condition) \
	do { \
		rw_checks++; \
		if (!(condition)) { \
			rw_failures++; \
			fprintf(stderr, "%s:%d: %s: not true: %s\n", __FILE__, __LINE__, __func__, \
				#condition); \
		} \
	} while (0)

#define CHECK_EQ(actual, expected) \
	do { \
		intmax_t actual_ = (intmax_t)(actual), expected_ = (intmax_t)(expected); \
		rw_checks++; \
		if (actual_ != expected_) { \
			rw_failures++; \
			fprintf(stderr, "%s:%d: %s: %s is %" PRIdMAX ", expected %" PRIdMAX "\n", \
				__FILE__, __LINE__, __func__, #actual, actual_, expected_); \
		} \
	} while (0)

static inline int rw_skip(const char *why)
{
	fprintf(stderr, "skipped: %s\n", why);
	return 77;
}

static inline int rw_check_end(void)
{
	fprintf(stderr, "%d checks, %d failed\n", rw_checks, rw_failures);
	return rw_failures ? 1 : 0;
}

#endif
