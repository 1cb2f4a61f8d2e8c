/* A thread's life: set up, pass the stages, run the loop, clean up. */
#define _GNU_SOURCE
#include "workload/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/error.h"

#define DRAIN_NS (5 * RW_NS_PER_S)

static int pin(const struct rw_worker *w)
{
	int cpu = w->run->plan.workload.first_cpu + (int)w->index;
	cpu_set_t set;

	if (w->run->plan.workload.first_cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ?
	       rw_fail(errno, "thread %u cannot be pinned to CPU %d", w->index, cpu) : 0;
}

static void take_plan(struct rw_worker *w)
{
	const struct rw_plan *plan = &w->run->plan;
	struct rw_share part = rw_plan_blocks(plan, w->index);

	w->bs = plan->workload.bs;
	w->base = plan->base + part.first * w->bs;
	w->blocks = part.count;
	w->stride = plan->stride;
	w->depth = plan->workload.depth;
	w->batch = plan->workload.batch;
	w->access = plan->workload.access;
	w->verify_mode = plan->verify;
	w->read_threshold = ((uint64_t)plan->workload.read_percent << 32) / 100;
	rw_random_init(&w->random, plan->workload.seed, w->index);
	rw_histogram_init(&w->histogram);
	/* Sleeps that pace operations are to end in time, not 50 microseconds late. */
	if (plan->interval)
		prctl(PR_SET_TIMERSLACK, 1000);
}

static int make_tables(struct rw_worker *w)
{
	uint64_t seed = w->run->plan.workload.seed;
	int error = 0;

	w->ops = calloc(w->depth, sizeof(*w->ops));
	w->tokens = calloc(w->depth, sizeof(*w->tokens));
	w->completions = calloc(w->depth, sizeof(*w->completions));
	w->offsets = calloc(w->depth, sizeof(*w->offsets));
	w->free = calloc(w->depth, sizeof(*w->free));
	if (!w->ops || !w->tokens || !w->completions || !w->offsets || !w->free)
		return rw_fail(ENOMEM, "no memory for %u operations: lower the depth", w->depth);
	for (uint32_t i = 0; i < w->depth; i++) {
		w->ops[i].length = w->bs;
		w->free[w->free_count++] = w->depth - 1 - i;
	}
	/* Threads with a range in common are to agree on which blocks are hot in it. */
	if (w->access == RW_ZIPF)
		error = rw_zipf_init(&w->zipf, w->blocks, w->run->plan.workload.zipf_theta, seed);
	if (!error && w->verify_mode == RW_VERIFY_TRACKED)
		error = rw_verify_init(&w->verify, (uint32_t)w->blocks, w->depth);
	return error;
}

/* Random contents: devices that compress, or skip zeroes, get no easier work than others. */
static int make_memory(struct rw_worker *w)
{
	uint64_t length, *words;
	int error;

	if (__builtin_mul_overflow(w->stride, w->depth, &length))
		return rw_fail(ENOMEM, "depth times bs is beyond any memory: lower one of them");
	error = rw_buffer_create(length, &w->buffer);
	if (error)
		return error;
	words = rw_buffer_memory(w->buffer);
	w->memory = (uintptr_t)words;
	for (uint64_t i = 0; i < length / sizeof(*words); i++)
		words[i] = rw_random_next(&w->random);
	return 0;
}

static int set_up(struct rw_worker *w)
{
	int error = pin(w);

	w->tid = gettid();
	take_plan(w);
	error = error ? error : make_tables(w);
	error = error ? error : make_memory(w);
	return error ? error : rw_queue_create(w->run->device, w->depth, &w->queue);
}

static void tear_down(struct rw_worker *w)
{
	int error = w->queue ? rw_queue_destroy(w->queue, DRAIN_NS) : 0;

	if (error)
		rw_run_note(w->run, error, rw_detail());
	if (w->buffer)
		rw_buffer_drop(w->buffer);
	if (w->access == RW_ZIPF)
		rw_zipf_deinit(&w->zipf);
	rw_verify_deinit(&w->verify);
	free(w->ops);
	free(w->tokens);
	free(w->completions);
	free(w->offsets);
	free(w->free);
}

static void *work(void *argument)
{
	struct rw_worker *w = argument;
	struct rw_run *run = w->run;
	int error = set_up(w);

	if (error) {
		rw_run_note(run, error, rw_detail());
		rw_run_stop(run);
	}
	rw_run_arrive(run, RW_READY);
	rw_run_await_open(run, RW_READY);
	if (!error)
		rw_worker_loop(w);
	rw_run_arrive(run, RW_CLOSED);
	rw_run_await_open(run, RW_CLOSED);
	tear_down(w);
	rw_run_arrive(run, RW_ENDED);
	return NULL;
}

int rw_worker_start(struct rw_run *run, uint32_t index)
{
	struct rw_worker *worker;
	int error;

	if (posix_memalign((void **)&worker, RW_CACHE_LINE, sizeof(*worker)))
		return rw_fail(ENOMEM, "no memory for thread %u of the run", index);
	memset(worker, 0, sizeof(*worker));
	worker->run = run;
	worker->index = index;
	error = rw_run_thread(&worker->thread, work, worker);
	if (error) {
		free(worker);
		return error;
	}
	run->workers[index] = worker;
	run->threads++;
	return 0;
}

void rw_worker_destroy(struct rw_worker *worker)
{
	free(worker);
}
