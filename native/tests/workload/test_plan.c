/* What a workload may ask for, what is said when it asks for more, and how it is shared out. */
#define _GNU_SOURCE
#include "workload/plan.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <string.h>

#include "tests/check.h"

static struct rw_device_info info = {
	.size = 1 << 20,
	.block_size = 512,
	.memory_alignment = 4096,
	.max_depth = 256,
	.opcodes = 1 << RW_READ | 1 << RW_WRITE,
	.writable = true,
	.path = "mem",
	.target = "mem:1MiB",
};

static const struct rw_workload good = {
	.bs = 4096,
	.runtime_ns = 1000,
	.access = RW_UNIFORM,
	.read_percent = 100,
	.depth = 4,
	.threads = 2,
	.batch = 1,
	.first_cpu = -1,
};

static struct rw_plan plan;

/* The error, which must be told with these words; 0 when it is accepted. */
static int refusal(struct rw_workload workload, const char *words)
{
	int error = rw_plan_init(&plan, &workload, &info);

	if (error && !strstr(rw_detail(), words)) {
		fprintf(stderr, "no \"%s\" in: %s\n", words, rw_detail());
		return 1;
	}
	return error;
}

#define WITH(...) \
	({ \
		struct rw_workload w = good; \
		__VA_ARGS__; \
		w; \
	})

static void good_is_accepted(void)
{
	CHECK_EQ(refusal(good, ""), 0);
	CHECK_EQ(plan.blocks, 256);
	CHECK_EQ(plan.base, 0);
	CHECK_EQ(plan.stride, 4096);
	CHECK(plan.operations == UINT64_MAX && !plan.parts && plan.verify == RW_VERIFY_OFF);
	CHECK_EQ(refusal(WITH(w.offset = 512; w.span = 9000; w.bs = 1024), ""), 0);
	CHECK_EQ(plan.blocks, 8);
	CHECK_EQ(plan.base, 512);
	CHECK_EQ(refusal(WITH(w.runtime_ns = 0; w.total_bytes = 4097), ""), 0);
	CHECK_EQ(plan.operations, 2);
	CHECK(plan.runtime_ns == INT64_MAX);
}

static void counts_out_of_range(void)
{
	CHECK_EQ(refusal(WITH(w.threads = 0), "threads is 0: give 1 to 64"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.threads = 65), "threads is 65"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.depth = 0), "path mem takes 1 to 256"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.depth = 257), "depth is 257"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.batch = 0), "batch is 0"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.batch = 5), "give 1 to the depth, 4"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.read_percent = 101), "give 0 to 100"), -EINVAL);
	CHECK_EQ(refusal(WITH(w.access = 3), "access is 3"), -EINVAL);
	CHECK_EQ(refusal(WITH(w.verify = 2), "verify is 2"), -EINVAL);
	CHECK_EQ(refusal(WITH(w.reserved = 1), "reserved 1"), -EINVAL);
}

static void zipf_theta_out_of_range(void)
{
	static const double bad[] = {0, 1, -0.5, 1.2, NAN, INFINITY};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		CHECK_EQ(refusal(WITH(w.access = RW_ZIPF; w.zipf_theta = bad[i]), "zipf_theta"),
			 -EINVAL);
		CHECK_EQ(refusal(WITH(w.zipf_theta = bad[i]), ""), 0);
	}
	CHECK_EQ(refusal(WITH(w.access = RW_ZIPF; w.zipf_theta = 0.99), ""), 0);
}

static void an_end_is_needed(void)
{
	CHECK_EQ(refusal(WITH(w.runtime_ns = 0), "never end"), -EINVAL);
	CHECK_EQ(refusal(WITH(w.runtime_ns = UINT64_MAX), "208 days"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.ramp_ns = UINT64_MAX), "208 days"), -ERANGE);
}

static void ranges(void)
{
	CHECK_EQ(refusal(WITH(w.bs = 0), "bs is 0"), -EINVAL);
	CHECK_EQ(refusal(WITH(w.bs = 1000), "multiple of the block size, 512"), -EINVAL);
	CHECK_EQ(refusal(WITH(w.offset = 100), "offset is 100"), -EINVAL);
	CHECK_EQ(refusal(WITH(w.offset = 2 << 20), "beyond the end of mem:1MiB"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.offset = 4096; w.span = 1 << 20), "beyond the end"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.offset = 4096; w.span = UINT64_MAX), "beyond the end"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.offset = 1 << 20), "shorter than bs"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.span = 2048), "shorter than bs"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.bs = 2 << 20), "shorter than bs"), -ERANGE);
	CHECK_EQ(refusal(WITH(w.bs = -(uint64_t)512), "shorter than bs"), -ERANGE);
}

static void parts_too_small(void)
{
	CHECK_EQ(refusal(WITH(w.access = RW_SEQUENTIAL; w.span = 4096), "2 threads need 1"),
		 -ERANGE);
	CHECK_EQ(refusal(WITH(w.span = 4096), ""), 0);
	CHECK_EQ(refusal(WITH(w.verify = 1; w.read_percent = 0; w.span = 7 * 4096), "need 4 each"),
		 -ERANGE);
	CHECK_EQ(refusal(WITH(w.verify = 1; w.read_percent = 0; w.span = 8 * 4096), ""), 0);
	CHECK(plan.parts && plan.verify == RW_VERIFY_TRACKED);
	CHECK_EQ(refusal(WITH(w.verify = 1; w.span = 4096), ""), 0);
	CHECK(!plan.parts && plan.verify == RW_VERIFY_LEFT_BEHIND);
}

static void verify_units(void)
{
	info.block_size = 1;
	CHECK_EQ(refusal(WITH(w.verify = 1; w.bs = 700), "multiples of 512"), -EINVAL);
	CHECK_EQ(refusal(WITH(w.bs = 700), ""), 0);
	CHECK_EQ(plan.stride, 4096);
	info.memory_alignment = 1;
	CHECK_EQ(refusal(WITH(w.bs = 700), ""), 0);
	CHECK_EQ(plan.stride, 704);
	info.size = UINT64_C(1) << 45;
	CHECK_EQ(refusal(WITH(w.verify = 1; w.read_percent = 50; w.bs = 512), "2^32 blocks"),
		 -ERANGE);
	info.size = 1 << 20;
	info.memory_alignment = 4096;
	info.block_size = 512;
}

static void devices_that_cannot(void)
{
	info.writable = false;
	CHECK_EQ(refusal(WITH(w.read_percent = 99), "opened read-only"), -EROFS);
	CHECK_EQ(refusal(good, ""), 0);
	info.writable = true;
	info.opcodes = 1 << RW_READ;
	CHECK_EQ(refusal(WITH(w.read_percent = 99), "does not serve"), -EOPNOTSUPP);
	info.opcodes = 1 << RW_READ | 1 << RW_WRITE;
}

static void cpus(void)
{
	cpu_set_t before, one;
	int cpu = 0;

	CHECK_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
	CHECK_EQ(refusal(WITH(w.first_cpu = cpu; w.threads = 1), ""), 0);
	CHECK_EQ(refusal(WITH(w.first_cpu = cpu), "thread 1 would run on CPU"), -EINVAL);
	CHECK_EQ(refusal(WITH(w.first_cpu = 100000), "CPU 100000"), -EINVAL);
	CHECK_EQ(refusal(WITH(w.first_cpu = INT32_MAX), "CPU 2147483647"), -EINVAL);
	CHECK_EQ(refusal(WITH(w.first_cpu = -2), "first_cpu is -2"), -EINVAL);
	sched_setaffinity(0, sizeof(before), &before);
}

static void shares_are_whole_and_even(uint64_t total, uint32_t parts)
{
	uint64_t next = 0;

	for (uint32_t i = 0; i < parts; i++) {
		struct rw_share share = rw_share(total, parts, i);

		CHECK(share.first == next);
		CHECK(share.count == total / parts || share.count == total / parts + 1);
		next += share.count;
	}
	CHECK(next == total);
}

/* A sequential run of as many bytes as the range holds does each block once. */
static void operations_follow_blocks(void)
{
	CHECK_EQ(refusal(WITH(w.access = RW_SEQUENTIAL; w.threads = 7; w.total_bytes = 1 << 20),
			 ""), 0);
	for (uint32_t i = 0; i < 7; i++)
		CHECK_EQ(rw_plan_operations(&plan, i), rw_plan_blocks(&plan, i).count);
}

int main(void)
{
	good_is_accepted();
	counts_out_of_range();
	zipf_theta_out_of_range();
	an_end_is_needed();
	ranges();
	parts_too_small();
	verify_units();
	devices_that_cannot();
	cpus();
	shares_are_whole_and_even(256, 7);
	shares_are_whole_and_even(3, 64);
	shares_are_whole_and_even(UINT64_MAX, 63);
	operations_follow_blocks();
	return rw_check_end();
}
