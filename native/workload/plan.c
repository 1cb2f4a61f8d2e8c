/* Checks of a workload, each with a message that says what to give instead. */
#define _GNU_SOURCE
#include "workload/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>

#include "core/error.h"
#include "core/pattern.h"
#include "workload/pace.h"

/* 208 days: times stay far inside 64 bits in every unit used here. */
#define LONGEST_NS (INT64_C(1) << 54)

static int check_numbers(const struct rw_workload *w, const struct rw_device_info *info)
{
	if (w->threads < 1 || w->threads > RW_MAX_THREADS)
		return rw_fail(ERANGE, "threads is %" PRIu32 ": give 1 to %d", w->threads,
			       RW_MAX_THREADS);
	if (w->depth < 1 || w->depth > info->max_depth)
		return rw_fail(ERANGE, "depth is %" PRIu32 ": path %s takes 1 to %" PRIu32,
			       w->depth, info->path, info->max_depth);
	if (w->batch < 1 || w->batch > w->depth)
		return rw_fail(ERANGE, "batch is %" PRIu32 ": give 1 to the depth, %" PRIu32,
			       w->batch, w->depth);
	if (w->read_percent > 100)
		return rw_fail(EINVAL, "read_percent is %" PRIu32 ": give 0 to 100",
			       w->read_percent);
	if (w->access > RW_ZIPF)
		return rw_fail(EINVAL, "access is %" PRIu32 ": give RW_SEQUENTIAL, RW_UNIFORM "
			       "or RW_ZIPF", w->access);
	if (w->access == RW_ZIPF && !(w->zipf_theta > 0 && w->zipf_theta < 1))
		return rw_fail(EINVAL, "zipf_theta is %g: give more than 0 and less than 1",
			       w->zipf_theta);
	if (w->verify > 1 || w->reserved)
		return rw_fail(EINVAL, "verify is %" PRIu32 " and reserved %" PRIu32
			       ": give 0 or 1, and 0", w->verify, w->reserved);
	return 0;
}

static int check_end(const struct rw_workload *w)
{
	if (!w->runtime_ns && !w->total_bytes)
		return rw_fail(EINVAL, "the run would never end: give runtime_ns, total_bytes "
			       "or both");
	if (w->runtime_ns > LONGEST_NS || w->ramp_ns > LONGEST_NS)
		return rw_fail(ERANGE, "ramp_ns and runtime_ns are at most %" PRId64 " (208 days)",
			       LONGEST_NS);
	return 0;
}

static int check_access(const struct rw_workload *w, const struct rw_device_info *info)
{
	bool reads = w->read_percent > 0, writes = w->read_percent < 100;

	if (writes && !info->writable)
		return rw_fail(EROFS, "the workload writes and %s was opened read-only: open it "
			       "writable, or give read_percent 100", info->target);
	if ((reads && !(info->opcodes >> RW_READ & 1)) ||
	    (writes && !(info->opcodes >> RW_WRITE & 1)))
		return rw_fail(EOPNOTSUPP, "path %s does not serve the workload's reads or writes",
			       info->path);
	return 0;
}

static int check_range(const struct rw_workload *w, const struct rw_device_info *info)
{
	if (!w->bs || w->bs % info->block_size)
		return rw_fail(EINVAL, "bs is %" PRIu64 ": give a multiple of the block size, %"
			       PRIu32, w->bs, info->block_size);
	if (w->offset % info->block_size)
		return rw_fail(EINVAL, "offset is %" PRIu64 ": give a multiple of the block "
			       "size, %" PRIu32, w->offset, info->block_size);
	if (w->offset > info->size || w->span > info->size - w->offset)
		return rw_fail(ERANGE, "offset %" PRIu64 " and span %" PRIu64 " reach beyond the "
			       "end of %s, %" PRIu64 " bytes", w->offset, w->span, info->target,
			       info->size);
	return 0;
}

/* The smallest part must hold one block for each operation in flight. */
static int check_parts(const struct rw_plan *plan)
{
	const struct rw_workload *w = &plan->workload;
	uint64_t smallest = plan->blocks / w->threads;
	uint64_t needed = plan->verify == RW_VERIFY_TRACKED ? w->depth : 1;

	if (!plan->blocks)
		return rw_fail(ERANGE, "the range is shorter than bs, %" PRIu64 " bytes", w->bs);
	if (plan->parts && smallest < needed)
		return rw_fail(ERANGE, "the range is %" PRIu64 " blocks: %" PRIu32
			       " threads need %" PRIu64 " each; widen the range or lower threads, "
			       "depth or bs", plan->blocks, w->threads, needed);
	if (plan->verify == RW_VERIFY_TRACKED && smallest >= UINT32_MAX)
		return rw_fail(ERANGE, "a verifying run takes less than 2^32 blocks per thread: "
			       "give a smaller span, more threads or a larger bs");
	if (plan->verify && w->bs % RW_PATTERN_UNIT)
		return rw_fail(EINVAL, "bs is %" PRIu64 ": verify takes multiples of %d", w->bs,
			       RW_PATTERN_UNIT);
	return 0;
}

static int check_cpus(const struct rw_workload *w)
{
	cpu_set_t allowed;

	if (w->first_cpu == -1)
		return 0;
	if (w->first_cpu < -1)
		return rw_fail(EINVAL, "first_cpu is %" PRId32 ": give a CPU, or -1 for none",
			       w->first_cpu);
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return rw_fail(errno, "the CPUs this process may use cannot be read: give "
			       "first_cpu -1");
	for (uint32_t i = 0; i < w->threads; i++) {
		int64_t cpu = (int64_t)w->first_cpu + i;

		if (cpu >= CPU_SETSIZE || !CPU_ISSET((int)cpu, &allowed))
			return rw_fail(EINVAL, "thread %" PRIu32 " would run on CPU %" PRId64
				       ", which this process may not use: give another first_cpu, "
				       "or -1", i, cpu);
	}
	return 0;
}

static enum rw_verify_mode verify_mode(const struct rw_workload *w)
{
	if (!w->verify)
		return RW_VERIFY_OFF;
	return w->read_percent == 100 ? RW_VERIFY_LEFT_BEHIND : RW_VERIFY_TRACKED;
}

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

/* Each operation's memory starts on a cache line at least: no line has two of them. */
static uint64_t stride_of(uint64_t bs, uint32_t alignment)
{
	return round_up(bs, alignment > RW_CACHE_LINE ? alignment : RW_CACHE_LINE);
}

static void derive(struct rw_plan *plan, const struct rw_device_info *info)
{
	const struct rw_workload *w = &plan->workload;

	plan->base = w->offset;
	plan->blocks = (w->span ? w->span : info->size - w->offset) / w->bs;
	plan->stride = stride_of(w->bs, info->memory_alignment);
	plan->operations = w->total_bytes ? (w->total_bytes - 1) / w->bs + 1 : UINT64_MAX;
	plan->interval = w->rate ? rw_pace_interval(w->rate, w->threads) : 0;
	plan->ramp_ns = (int64_t)w->ramp_ns;
	plan->runtime_ns = w->runtime_ns ? (int64_t)w->runtime_ns : INT64_MAX;
	plan->verify = verify_mode(w);
	plan->parts = w->access == RW_SEQUENTIAL || plan->verify == RW_VERIFY_TRACKED;
}

int rw_plan_init(struct rw_plan *plan, const struct rw_workload *workload,
		 const struct rw_device_info *info)
{
	int error = check_numbers(workload, info);

	error = error ? error : check_end(workload);
	error = error ? error : check_access(workload, info);
	error = error ? error : check_range(workload, info);
	error = error ? error : check_cpus(workload);
	if (error)
		return error;
	plan->workload = *workload;
	derive(plan, info);
	return check_parts(plan);
}

struct rw_share rw_share(uint64_t total, uint32_t parts, uint32_t index)
{
	uint64_t first = (uint64_t)((unsigned __int128)total * index / parts);
	uint64_t end = (uint64_t)((unsigned __int128)total * (index + 1) / parts);

	return (struct rw_share){ first, end - first };
}

struct rw_share rw_plan_blocks(const struct rw_plan *plan, uint32_t index)
{
	if (plan->parts)
		return rw_share(plan->blocks, plan->workload.threads, index);
	return (struct rw_share){ 0, plan->blocks };
}

uint64_t rw_plan_operations(const struct rw_plan *plan, uint32_t index)
{
	if (plan->operations == UINT64_MAX)
		return UINT64_MAX;
	return rw_share(plan->operations, plan->workload.threads, index).count;
}
