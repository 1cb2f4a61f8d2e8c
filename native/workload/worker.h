/*
 * One thread of a run: a queue, memory for `depth` operations, and the loop
 * that keeps them in flight. The loop is in loop.c; it allocates, locks and
 * divides nothing, and writes no memory that another thread writes.
 */
#ifndef RW_WORKLOAD_WORKER_H
#define RW_WORKLOAD_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/histogram.h"
#include "workload/pace.h"
#include "workload/run.h"
#include "workload/verify.h"
#include "workload/zipf.h"

/* The measured part of one thread; the counts are what was added within it. */
struct rw_window {
	int64_t begin_ns, end_ns; /* 0: it never began */
	uint64_t user_ns, system_ns;
	struct rw_counters counters;
};

struct rw_worker {
	/* For the progress display, on a line that nothing else is on. */
	_Alignas(RW_CACHE_LINE) _Atomic uint64_t measured; /* operations in the window */

	/* Set up once. */
	_Alignas(RW_CACHE_LINE) struct rw_run *run;
	struct rw_queue *queue;
	uintptr_t memory;
	uint64_t base, blocks;   /* of its part of the range */
	uint64_t bs, stride;
	uint64_t read_threshold; /* of 2^32 */
	uint32_t depth, batch, access;
	enum rw_verify_mode verify_mode;
	struct rw_op *ops;       /* the next to prepare */
	int64_t *tokens;
	struct rw_completion *completions;
	uint64_t *offsets;       /* per slot: where its operation is */
	uint32_t *free;          /* slots with nothing in flight, a stack */

	/* Changes with every batch. */
	uint32_t free_count;
	bool measuring, failed;
	uint64_t position;       /* next block of a sequential run */
	uint64_t remaining;      /* operations still to hand over */
	uint64_t operations, writes; /* in the window */
	int64_t deadline_ns;     /* the window begins or ends */
	int64_t second_end_ns;
	int64_t progress_ns;     /* when an operation completed last */
	uint32_t second;         /* of the series */
	struct rw_random random;
	struct rw_pace pace;
	struct rw_zipf zipf;
	struct rw_verify verify;

	/* The outcome. */
	uint64_t errors, verify_errors;
	struct rw_window window;
	struct rw_histogram histogram;
	uint64_t series[RW_MAX_SERIES + 1]; /* the last collects what is beyond */

	uint32_t index;
	int32_t tid;
	struct rw_buffer *buffer;
	pthread_t thread;
};

/* Starts thread `index` of the run, which then has one more. */
int rw_worker_start(struct rw_run *run, uint32_t index);
/* After the thread was joined. */
void rw_worker_destroy(struct rw_worker *worker);

/* Works until time, count, a failure or rw_run_stop() end it. */
void rw_worker_loop(struct rw_worker *worker);

#endif
