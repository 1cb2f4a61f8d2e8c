/* The histogram: bucket edges, error bound, totals, merging. */
#include "core/histogram.h"

#include "tests/check.h"

static void edges_meet(void)
{
	CHECK_EQ(rw_histogram_value(0), 0);
	for (uint32_t bucket = 0; bucket < RW_HISTOGRAM_BUCKETS; bucket++) {
		uint64_t low = rw_histogram_value(bucket);

		CHECK_EQ(rw_histogram_bucket(low), bucket);
		if (bucket)
			CHECK_EQ(rw_histogram_bucket(low - 1), bucket - 1);
	}
	CHECK_EQ(rw_histogram_bucket(UINT64_MAX), RW_HISTOGRAM_BUCKETS - 1);
	CHECK(rw_histogram_value(RW_HISTOGRAM_BUCKETS) == UINT64_MAX);
	CHECK(rw_histogram_value(UINT32_MAX) == UINT64_MAX);
}

/* What the header promises: the lowest value of a bucket is within 1 % of all in it. */
static void error_is_below_one_percent(void)
{
	for (uint32_t bucket = 1; bucket < RW_HISTOGRAM_BUCKETS - 1; bucket++) {
		uint64_t low = rw_histogram_value(bucket);
		uint64_t high = rw_histogram_value(bucket + 1) - 1;

		CHECK(high - low <= low / 100);
	}
	for (uint64_t value = 0; value < 256; value++)
		CHECK_EQ(rw_histogram_value(rw_histogram_bucket(value)), value);
}

static void records_and_merges(void)
{
	static struct rw_histogram a, b;

	rw_histogram_init(&a);
	rw_histogram_init(&b);
	CHECK(a.min == UINT64_MAX && a.max == 0 && a.sum == 0);
	rw_histogram_record(&a, 1000);
	rw_histogram_record(&a, 1001);
	rw_histogram_record(&b, 5);
	rw_histogram_record(&b, 70000);
	CHECK_EQ(a.min, 1000);
	CHECK_EQ(a.max, 1001);
	rw_histogram_merge(&a, &b);
	CHECK_EQ(a.min, 5);
	CHECK_EQ(a.max, 70000);
	CHECK_EQ(a.sum, 72006);
	CHECK_EQ(a.counts[rw_histogram_bucket(1000)], 2);
	CHECK_EQ(a.counts[rw_histogram_bucket(5)], 1);
	CHECK_EQ(a.counts[rw_histogram_bucket(70000)], 1);
}

static void merging_nothing_changes_nothing(void)
{
	static struct rw_histogram a, empty;

	rw_histogram_init(&a);
	rw_histogram_init(&empty);
	rw_histogram_record(&a, 42);
	rw_histogram_merge(&a, &empty);
	CHECK_EQ(a.min, 42);
	CHECK_EQ(a.max, 42);
	CHECK_EQ(a.counts[42], 1);
}

int main(void)
{
	edges_meet();
	error_is_below_one_percent();
	records_and_merges();
	merging_nothing_changes_nothing();
	return rw_check_end();
}
