/*
 * The loop of a workload's thread: reap a batch, count it, refill, again. One
 * clock reading per batch; all that happens once a second or less is decided
 * by comparing that reading with a deadline.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "core/error.h"
#include "core/pattern.h"
#include "workload/worker.h"

/* rw_run_stop() is noticed within this. */
#define LONGEST_WAIT_NS (50 * RW_NS_PER_MS)
/* A device that completes nothing for so long will not. */
#define STALLED_NS (30 * RW_NS_PER_S)

/* ------------------------------------------------------------ operations */

static inline uint64_t next_block(struct rw_worker *w)
{
	uint64_t block = w->position;

	if (w->access == RW_UNIFORM)
		return rw_random_below(&w->random, w->blocks);
	if (w->access == RW_ZIPF)
		return rw_zipf_next(&w->zipf, &w->random);
	w->position = block + 1 == w->blocks ? 0 : block + 1;
	return block;
}

static inline bool next_reads(struct rw_worker *w)
{
	if (!w->read_threshold || w->read_threshold >> 32)
		return w->read_threshold != 0;
	return (uint32_t)rw_random_next(&w->random) < w->read_threshold;
}

static void choose_tracked(struct rw_worker *w, struct rw_op *op, uint32_t slot)
{
	const struct rw_verify_slot *todo;
	uint64_t wish = next_block(w);
	bool reads = next_reads(w);

	todo = rw_verify_begin(&w->verify, slot, wish, reads, &w->random);
	op->opcode = todo->reads ? RW_READ : RW_WRITE;
	op->offset = w->base + todo->block * w->bs;
	if (!todo->reads)
		rw_pattern_fill((void *)op->memory, w->bs, op->offset, todo->generation,
				w->run->plan.workload.seed);
}

/* The next n operations, into the slots freed last: their memory is still in the cache. */
static inline void choose(struct rw_worker *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = w->free[--w->free_count];
		struct rw_op *op = &w->ops[i];

		op->memory = w->memory + slot * w->stride;
		op->user_data = slot;
		if (w->verify_mode == RW_VERIFY_TRACKED) {
			choose_tracked(w, op, slot);
		} else {
			op->offset = w->base + next_block(w) * w->bs;
			op->opcode = next_reads(w) ? RW_READ : RW_WRITE;
		}
		w->offsets[slot] = op->offset;
	}
}

/* Fills what is free and due; the next reap hands it over. */
static inline int refill(struct rw_worker *w, int64_t now)
{
	uint32_t n = w->free_count;
	int accepted;

	if (n > w->remaining)
		n = (uint32_t)w->remaining;
	n = rw_pace_take(&w->pace, now, n);
	if (!n)
		return 0;
	choose(w, n);
	w->remaining -= n;
	accepted = rw_queue_prepare_many(w->queue, w->ops, n, w->tokens);
	if (accepted == (int)n)
		return 0;
	return accepted < 0 ? accepted :
	       rw_fail(EBUSY, "the queue took %d of %" PRIu32 " operations", accepted, n);
}

/* ----------------------------------------------------------- completions */

static void fail_operation(struct rw_worker *w, const struct rw_completion *c)
{
	const char *what = c->opcode == RW_READ ? "read" : "write";
	uint64_t offset = w->offsets[c->user_data];
	char text[256], reason[64];

	w->errors++;
	w->failed = true;
	if (c->result < 0)
		snprintf(text, sizeof(text), "%s of %" PRIu64 " bytes at offset %" PRIu64
			 " failed: %s", what, w->bs, offset,
			 strerror_r((int)-c->result, reason, sizeof(reason)));
	else
		snprintf(text, sizeof(text), "%s at offset %" PRIu64 " moved %" PRId64 " of %"
			 PRIu64 " bytes", what, offset, c->result, w->bs);
	rw_run_note(w->run, c->result < 0 ? (int)c->result : -EIO, text);
}

/* The data of a read, against what its block must hold. */
static void check_data(struct rw_worker *w, const struct rw_completion *c, uint32_t generation)
{
	const void *memory = (const void *)(w->memory + c->user_data * w->stride);
	uint64_t seed = w->run->plan.workload.seed, offset = w->offsets[c->user_data];
	char text[256] = "verify: ";
	size_t used = strlen(text);

	if (rw_pattern_check(memory, w->bs, offset, generation, seed))
		return;
	if (!w->verify_errors++) {
		rw_pattern_explain(memory, w->bs, offset, generation, seed, text + used,
				   sizeof(text) - used);
		rw_run_note(w->run, -EILSEQ, text);
	}
}

static void verify(struct rw_worker *w, const struct rw_completion *c)
{
	const struct rw_verify_slot *done;

	if (w->verify_mode == RW_VERIFY_LEFT_BEHIND) {
		check_data(w, c, RW_PATTERN_ANY_GENERATION);
		return;
	}
	done = rw_verify_end(&w->verify, (uint32_t)c->user_data);
	if (done->reads)
		check_data(w, c, done->generation);
}

static inline void take(struct rw_worker *w, uint32_t n)
{
	uint64_t before = w->operations;

	for (uint32_t i = 0; i < n; i++) {
		const struct rw_completion *c = &w->completions[i];

		w->free[w->free_count++] = (uint32_t)c->user_data;
		if (__builtin_expect((uint64_t)c->result != w->bs, 0)) {
			fail_operation(w, c);
			continue;
		}
		if (w->verify_mode != RW_VERIFY_OFF)
			verify(w, c);
		if (w->measuring) {
			rw_histogram_record(&w->histogram, c->latency_ns);
			w->operations++;
			w->writes += c->opcode == RW_WRITE;
		}
	}
	w->series[w->second] += w->operations - before;
	atomic_store_explicit(&w->measured, w->operations, memory_order_relaxed);
}

/* ---------------------------------------------------------------- window */

static void read_cpu(uint64_t *user_ns, uint64_t *system_ns)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	*user_ns = (uint64_t)usage.ru_utime.tv_sec * RW_NS_PER_S +
		   (uint64_t)usage.ru_utime.tv_usec * 1000;
	*system_ns = (uint64_t)usage.ru_stime.tv_sec * RW_NS_PER_S +
		     (uint64_t)usage.ru_stime.tv_usec * 1000;
}

/* From now on operations count, and those in flight count when they complete. */
static void open_window(struct rw_worker *w, int64_t now)
{
	int64_t planned = w->run->start_ns + w->run->plan.ramp_ns;
	uint64_t count = rw_plan_operations(&w->run->plan, w->index);
	uint32_t in_flight = w->depth - w->free_count;

	if (count != UINT64_MAX)
		w->remaining = count > in_flight ? count - in_flight : 0;
	w->deadline_ns = w->run->plan.runtime_ns < INT64_MAX ? planned + w->run->plan.runtime_ns :
			 INT64_MAX;
	w->second_end_ns = planned + RW_NS_PER_S;
	w->measuring = true;
	w->window.begin_ns = now;
	rw_queue_counters(w->queue, &w->window.counters);
	read_cpu(&w->window.user_ns, &w->window.system_ns);
}

static void close_window(struct rw_worker *w, int64_t now)
{
	struct rw_window *window = &w->window;
	struct rw_counters now_counts;
	uint64_t user_ns, system_ns;

	read_cpu(&user_ns, &system_ns);
	rw_queue_counters(w->queue, &now_counts);
	w->measuring = false;
	window->end_ns = now;
	window->user_ns = user_ns - window->user_ns;
	window->system_ns = system_ns - window->system_ns;
	window->counters.operations = now_counts.operations - window->counters.operations;
	window->counters.syscalls = now_counts.syscalls - window->counters.syscalls;
	window->counters.doorbells = now_counts.doorbells - window->counters.doorbells;
	window->counters.copies = now_counts.copies - window->counters.copies;
	window->counters.retries = now_counts.retries - window->counters.retries;
	window->counters.parts = now_counts.parts - window->counters.parts;
}

static void next_second(struct rw_worker *w, int64_t now)
{
	while (now >= w->second_end_ns) {
		w->second_end_ns += RW_NS_PER_S;
		if (w->second < RW_MAX_SERIES)
			w->second++;
	}
}

/* ------------------------------------------------------------------ loop */

static int sleep_until(int64_t moment_ns)
{
	struct timespec time = { moment_ns / RW_NS_PER_S, moment_ns % RW_NS_PER_S };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
	return 0;
}

/* Until enough operations completed, the next is due, or a deadline passes. */
static inline int await_some(struct rw_worker *w, int64_t now)
{
	uint32_t in_flight = w->depth - w->free_count;
	int64_t until = now + LONGEST_WAIT_NS;

	if (until > w->deadline_ns)
		until = w->deadline_ns;
	if (w->pace.interval && w->free_count && w->remaining) {
		int64_t due = rw_pace_due_ns(&w->pace);

		until = due < until ? due : until;
	}
	if (!in_flight)
		return sleep_until(until);
	return rw_queue_reap(w->queue, w->completions, in_flight < w->batch ? in_flight : w->batch,
			     w->depth, until > now ? until - now : 0);
}

static int check_progress(struct rw_worker *w, int n, int64_t now)
{
	if (n > 0 || w->free_count == w->depth)
		w->progress_ns = now;
	if (now - w->progress_ns < STALLED_NS)
		return 0;
	return rw_fail(ETIME, "no operation has completed for %lld s: the device hangs",
		       (long long)(STALLED_NS / RW_NS_PER_S));
}

/* One batch; 0 to go on, 1 at the end, or a negative errno. */
static inline int step(struct rw_worker *w, int64_t *now)
{
	int n = await_some(w, *now);

	*now = rw_now_ns();
	if (n < 0 && n != -EINTR)
		return n;
	if (*now >= w->second_end_ns)
		next_second(w, *now);
	if (n > 0)
		take(w, (uint32_t)n);
	if (__builtin_expect(check_progress(w, n, *now), 0))
		return -ETIME;
	if (*now >= w->deadline_ns) {
		if (w->measuring)
			return 1;
		open_window(w, *now);
	}
	if (w->failed || atomic_load_explicit(&w->run->stop, memory_order_relaxed))
		return 1;
	if (!w->remaining && w->free_count == w->depth)
		return 1;
	return refill(w, *now);
}

static void begin(struct rw_worker *w, int64_t now)
{
	const struct rw_plan *plan = &w->run->plan;

	rw_pace_init(&w->pace, w->run->start_ns, plan->interval, plan->workload.threads, w->index,
		     w->depth);
	w->progress_ns = now;
	w->remaining = UINT64_MAX;
	w->second_end_ns = INT64_MAX;
	w->deadline_ns = w->run->start_ns + plan->ramp_ns;
	if (now >= w->deadline_ns)
		open_window(w, now);
}

void rw_worker_loop(struct rw_worker *w)
{
	int64_t now = rw_now_ns();
	int code;

	/* Another thread could not be set up: touch nothing. */
	if (atomic_load(&w->run->stop))
		return;
	begin(w, now);
	code = refill(w, now);
	while (!code)
		code = step(w, &now);
	if (code < 0) {
		w->failed = true;
		rw_run_note(w->run, code, rw_detail());
	}
	if (w->failed)
		rw_run_stop(w->run);
	if (w->measuring)
		close_window(w, now);
}
