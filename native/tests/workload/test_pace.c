/* The rate limit against a clock that the test turns. */
#include "workload/pace.h"

#include "tests/check.h"

#define START INT64_C(1000000000000)

static struct rw_pace make(uint64_t rate, uint32_t threads, uint32_t lead, uint32_t depth)
{
	struct rw_pace pace;

	rw_pace_init(&pace, START, rate ? rw_pace_interval(rate, threads) : 0, threads, lead,
		     depth);
	return pace;
}

static void no_limit(void)
{
	struct rw_pace pace = make(0, 1, 0, 32);

	CHECK_EQ(rw_pace_take(&pace, START, 32), 32);
	CHECK_EQ(rw_pace_take(&pace, START, 7), 7);
}

static void one_per_interval(void)
{
	struct rw_pace pace = make(1000, 1, 0, 4);

	CHECK_EQ(rw_pace_take(&pace, START, 4), 1);
	CHECK_EQ(rw_pace_take(&pace, START, 4), 0);
	CHECK_EQ(rw_pace_take(&pace, START + 999999, 4), 0);
	CHECK_EQ(rw_pace_take(&pace, START + 1000000, 4), 1);
	CHECK_EQ(rw_pace_take(&pace, START + 3000000, 4), 2);
	CHECK_EQ(rw_pace_take(&pace, START + 3000000, 4), 0);
}

/* Waiting until the moment that is told is enough, whatever the fraction. */
static void due_is_not_too_early(void)
{
	struct rw_pace pace = make(2999999, 1, 0, 4);

	CHECK_EQ(rw_pace_take(&pace, START, 1), 1);
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(rw_pace_take(&pace, rw_pace_due_ns(&pace), 1), 1);
}

/* Fractions of a nanosecond are not lost: ten seconds at an odd rate. */
static void long_runs_are_exact(void)
{
	uint64_t rate = 7000001, count = 0;
	struct rw_pace pace = make(rate, 1, 0, 1 << 16);

	for (int64_t ms = 0; ms < 10000; ms++)
		count += rw_pace_take(&pace, START + ms * RW_NS_PER_MS, 1 << 16);
	CHECK(count > rate * 9.999 * 0.9999 && count < rate * 9.999 * 1.0001 + 7001);
}

static void a_short_delay_is_made_up_for(void)
{
	struct rw_pace pace = make(1000, 1, 0, 4);

	CHECK_EQ(rw_pace_take(&pace, START, 99), 1);
	CHECK_EQ(rw_pace_take(&pace, START + 60 * RW_NS_PER_MS, 50), 50);
	CHECK_EQ(rw_pace_take(&pace, START + 60 * RW_NS_PER_MS, 50), 10);
	CHECK_EQ(rw_pace_take(&pace, START + 60 * RW_NS_PER_MS, 50), 0);
}

static void a_stall_is_not(void)
{
	struct rw_pace fast = make(1000, 1, 0, 4), slow = make(1, 1, 0, 4);

	CHECK_EQ(rw_pace_take(&fast, START, 200), 1);
	CHECK_EQ(rw_pace_take(&fast, START + 5 * RW_NS_PER_S, 200), 101);
	CHECK_EQ(rw_pace_take(&fast, START + 5 * RW_NS_PER_S, 200), 0);
	CHECK_EQ(rw_pace_take(&fast, START + 5 * RW_NS_PER_S + RW_NS_PER_MS, 200), 1);
	CHECK_EQ(rw_pace_take(&slow, START, 200), 1);
	CHECK_EQ(rw_pace_take(&slow, START + 60 * RW_NS_PER_S, 200), 5);
}

static void threads_take_turns(void)
{
	struct rw_pace first = make(1000, 4, 0, 1), last = make(1000, 4, 3, 1);

	CHECK_EQ(rw_pace_take(&first, START, 1), 1);
	CHECK_EQ(rw_pace_take(&last, START, 1), 0);
	CHECK_EQ(rw_pace_take(&last, START + 3 * RW_NS_PER_MS, 1), 1);
	CHECK_EQ(rw_pace_take(&first, START + 3 * RW_NS_PER_MS, 1), 0);
	CHECK_EQ(rw_pace_take(&first, START + 4 * RW_NS_PER_MS, 1), 1);
}

int main(void)
{
	no_limit();
	one_per_interval();
	due_is_not_too_early();
	long_runs_are_exact();
	a_short_delay_is_made_up_for();
	a_stall_is_not();
	threads_take_turns();
	return rw_check_end();
}
