/* What a finished run amounts to: the threads' figures, added up. */
#include <errno.h>
#include <string.h>

#include "core/clock.h"
#include "core/error.h"
#include "workload/worker.h"

static int check_finished(const struct rw_run *run)
{
	/* Locking changes nothing that the caller of a const function could see. */
	struct rw_run *shared = (struct rw_run *)run;

	if (rw_run_await_all(shared, RW_ENDED, 0))
		return 0;
	return rw_fail(EBUSY, "the run has not finished: poll until it says so");
}

static void add_counters(struct rw_counters *into, const struct rw_counters *from)
{
	into->operations += from->operations;
	into->syscalls += from->syscalls;
	into->doorbells += from->doorbells;
	into->copies += from->copies;
	into->retries += from->retries;
	into->parts += from->parts;
}

static void add_worker(struct rw_run_result *out, const struct rw_worker *worker)
{
	out->reads += worker->operations - worker->writes;
	out->writes += worker->writes;
	out->errors += worker->errors;
	out->verify_errors += worker->verify_errors;
	out->user_ns += worker->window.user_ns;
	out->system_ns += worker->window.system_ns;
	out->latency_sum_ns += worker->histogram.sum;
	if (worker->histogram.min < out->latency_min_ns)
		out->latency_min_ns = worker->histogram.min;
	if (worker->histogram.max > out->latency_max_ns)
		out->latency_max_ns = worker->histogram.max;
	add_counters(&out->counters, &worker->window.counters);
}

/* From the first thread's begin to the last one's end; false when nothing was measured. */
static bool measured_window(const struct rw_run *run, int64_t *begin_ns, int64_t *end_ns)
{
	*begin_ns = INT64_MAX;
	*end_ns = 0;
	for (uint32_t i = 0; i < run->threads; i++) {
		const struct rw_window *window = &run->workers[i]->window;

		if (!window->end_ns)
			continue;
		*begin_ns = window->begin_ns < *begin_ns ? window->begin_ns : *begin_ns;
		*end_ns = window->end_ns > *end_ns ? window->end_ns : *end_ns;
	}
	return *end_ns != 0;
}

static uint32_t full_seconds(const struct rw_run *run, int64_t end_ns)
{
	int64_t seconds = (end_ns - run->start_ns - run->plan.ramp_ns) / RW_NS_PER_S;

	return seconds < RW_MAX_SERIES ? (uint32_t)seconds : RW_MAX_SERIES;
}

int rw_run_result(const struct rw_run *run, struct rw_run_result *out)
{
	int error = check_finished(run);
	int64_t begin_ns, end_ns;

	if (error)
		return error;
	memset(out, 0, sizeof(*out));
	out->latency_min_ns = UINT64_MAX;
	for (uint32_t i = 0; i < run->threads; i++)
		add_worker(out, run->workers[i]);
	if (out->latency_min_ns == UINT64_MAX)
		out->latency_min_ns = 0;
	out->read_bytes = out->reads * run->plan.workload.bs;
	out->write_bytes = out->writes * run->plan.workload.bs;
	out->helper_ns = run->observer.helpers.total_ns;
	out->punts = run->observer.punted;
	out->error = atomic_load(&run->error);
	if (measured_window(run, &begin_ns, &end_ns)) {
		out->elapsed_ns = (uint64_t)(end_ns - begin_ns);
		out->series_length = full_seconds(run, end_ns);
	}
	return 0;
}

int rw_run_series(const struct rw_run *run, uint64_t *out, uint32_t length)
{
	struct rw_run_result result;
	int error = rw_run_result(run, &result);

	if (error)
		return error;
	if (length > result.series_length)
		length = result.series_length;
	memset(out, 0, length * sizeof(*out));
	for (uint32_t i = 0; i < run->threads; i++)
		for (uint32_t second = 0; second < length; second++)
			out[second] += run->workers[i]->series[second];
	return (int)length;
}

int rw_run_histogram(const struct rw_run *run, uint64_t *out)
{
	int error = check_finished(run);

	if (error)
		return error;
	memset(out, 0, RW_HISTOGRAM_BUCKETS * sizeof(*out));
	for (uint32_t i = 0; i < run->threads; i++)
		for (uint32_t bucket = 0; bucket < RW_HISTOGRAM_BUCKETS; bucket++)
			out[bucket] += run->workers[i]->histogram.counts[bucket];
	return 0;
}
