/*
 * A workload, checked against a device and turned into the numbers that the
 * threads work from.
 *
 * The range is cut into blocks of `bs` bytes; what is left over at its end is
 * not touched. Threads have the whole range in common, except that sequential
 * and verifying workloads give each a part of its own.
 */
#ifndef RW_WORKLOAD_PLAN_H
#define RW_WORKLOAD_PLAN_H

#include "ringway.h"

enum { RW_CACHE_LINE = 64 };

/*
 * A verifying run that writes knows what it has written, and holds reads to
 * exactly that (see verify.h). One that only reads checks what an earlier run
 * with the same seed has left: every block it reads must be whole, of one
 * generation, whichever that is. So write the range to its end first:
 * sequential, read_percent 0, total_bytes the span.
 *
 * Wrong data does not end a run: it is counted, the first case is described,
 * and the run's error is -EILSEQ when nothing worse came before.
 */
enum rw_verify_mode { RW_VERIFY_OFF, RW_VERIFY_TRACKED, RW_VERIFY_LEFT_BEHIND };

struct rw_plan {
	struct rw_workload workload;
	uint64_t base;           /* where block 0 begins */
	uint64_t blocks;
	uint64_t stride;         /* between operations' memory */
	uint64_t operations;     /* to measure, of all threads; UINT64_MAX: no end */
	uint64_t interval;       /* between a thread's operations, in 1/256 ns; 0: no limit */
	int64_t ramp_ns, runtime_ns; /* runtime INT64_MAX: no end */
	enum rw_verify_mode verify;
	bool parts;              /* each thread has a part of its own */
};

struct rw_share {
	uint64_t first, count;
};

/* A refused workload: negative errno, and rw_detail() says what to change. */
int rw_plan_init(struct rw_plan *plan, const struct rw_workload *workload,
		 const struct rw_device_info *info);

/* Part `index` of `total` things cut into `parts` as equal as can be. */
struct rw_share rw_share(uint64_t total, uint32_t parts, uint32_t index);

/* The blocks thread `index` works on, and how many operations it is to measure. */
struct rw_share rw_plan_blocks(const struct rw_plan *plan, uint32_t index);
uint64_t rw_plan_operations(const struct rw_plan *plan, uint32_t index);

#endif
