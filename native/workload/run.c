/* Starting, watching and ending a run: the public calls, and the stages. */
#include "workload/run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/error.h"
#include "workload/worker.h"

/* ---------------------------------------------------------------- stages */

void rw_run_note(struct rw_run *run, int code, const char *text)
{
	pthread_mutex_lock(&run->lock);
	if (!atomic_load_explicit(&run->error, memory_order_relaxed)) {
		strncpy(run->detail, text, sizeof(run->detail) - 1);
		atomic_store_explicit(&run->error, code, memory_order_release);
	}
	pthread_mutex_unlock(&run->lock);
}

void rw_run_arrive(struct rw_run *run, enum rw_stage stage)
{
	pthread_mutex_lock(&run->lock);
	run->arrived[stage]++;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->lock);
}

bool rw_run_await_all(struct rw_run *run, enum rw_stage stage, int64_t deadline_ns)
{
	struct timespec time = { deadline_ns / RW_NS_PER_S, deadline_ns % RW_NS_PER_S };
	int error = 0;
	bool all;

	pthread_mutex_lock(&run->lock);
	while (run->arrived[stage] < run->threads && !error)
		error = pthread_cond_timedwait(&run->changed, &run->lock, &time);
	all = run->arrived[stage] >= run->threads;
	pthread_mutex_unlock(&run->lock);
	return all;
}

void rw_run_open(struct rw_run *run, enum rw_stage stage)
{
	pthread_mutex_lock(&run->lock);
	run->open[stage] = true;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->lock);
}

void rw_run_await_open(struct rw_run *run, enum rw_stage stage)
{
	pthread_mutex_lock(&run->lock);
	while (!run->open[stage])
		pthread_cond_wait(&run->changed, &run->lock);
	pthread_mutex_unlock(&run->lock);
}

/*
 * Signals are for the program's own threads, so that Ctrl-C reaches Python.
 * Those that a thread brings on itself cannot be left to another one.
 */
int rw_run_thread(pthread_t *thread, void *(*main)(void *), void *argument)
{
	sigset_t blocked, before;
	int error;

	sigfillset(&blocked);
	sigdelset(&blocked, SIGSEGV);
	sigdelset(&blocked, SIGBUS);
	sigdelset(&blocked, SIGFPE);
	sigdelset(&blocked, SIGILL);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	error = pthread_create(thread, NULL, main, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error ? rw_fail(error, "no thread can be started: lower threads, or raise the limit "
			       "of processes (ulimit -u)") : 0;
}

/* ----------------------------------------------------------- start, stop */

static struct rw_run *run_create(struct rw_device *device)
{
	pthread_condattr_t attributes;
	struct rw_run *run;

	if (posix_memalign((void **)&run, RW_CACHE_LINE, sizeof(*run)))
		return NULL;
	memset(run, 0, sizeof(*run));
	run->device = device;
	pthread_mutex_init(&run->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&run->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return run;
}

static void run_free(struct rw_run *run)
{
	pthread_cond_destroy(&run->changed);
	pthread_mutex_destroy(&run->lock);
	free(run);
}

/*
 * Threads that could be started pass the stages even when others could not.
 * What fails before the start is told at once, what fails later by the run.
 */
static int launch(struct rw_run *run)
{
	int error = 0;

	for (uint32_t i = 0; i < run->plan.workload.threads && !error; i++)
		error = rw_worker_start(run, i);
	if (error) {
		rw_run_note(run, error, rw_detail());
		rw_run_stop(run);
	}
	rw_run_await_all(run, RW_READY, INT64_MAX);
	error = atomic_load(&run->error);
	rw_observer_begin(run);
	run->start_ns = rw_now_ns();
	rw_run_open(run, RW_READY);
	return error;
}

int rw_run_start(struct rw_device *device, const struct rw_workload *workload, struct rw_run **out)
{
	struct rw_run *run = run_create(device);
	int error;

	if (!run)
		return rw_fail(ENOMEM, "no memory for a run");
	rw_device_info(device, &run->info);
	error = rw_plan_init(&run->plan, workload, &run->info);
	error = error ? error : rw_observer_start(run);
	if (error) {
		run_free(run);
		return error;
	}
	error = launch(run);
	if (error) {
		rw_fail(-error, "%s", run->detail);
		rw_run_destroy(run);
		return error;
	}
	*out = run;
	return 0;
}

void rw_run_stop(struct rw_run *run)
{
	atomic_store_explicit(&run->stop, true, memory_order_relaxed);
}

void rw_run_destroy(struct rw_run *run)
{
	rw_run_stop(run);
	for (uint32_t i = 0; i < run->threads; i++) {
		pthread_join(run->workers[i]->thread, NULL);
		rw_worker_destroy(run->workers[i]);
	}
	rw_observer_join(run);
	run_free(run);
}

/* ------------------------------------------------------------- watching */

static uint64_t elapsed_so_far(const struct rw_run *run)
{
	int64_t begin = run->start_ns + run->plan.ramp_ns, now = rw_now_ns();

	return now > begin ? (uint64_t)(now - begin) : 0;
}

int rw_run_poll(struct rw_run *run, struct rw_run_status *out, int64_t timeout_ns)
{
	struct rw_run_result result;

	memset(out, 0, sizeof(*out));
	out->finished = rw_run_await_all(run, RW_ENDED, rw_deadline_ns(timeout_ns));
	out->error = atomic_load_explicit(&run->error, memory_order_acquire);
	for (uint32_t i = 0; i < run->threads; i++)
		out->operations += atomic_load_explicit(&run->workers[i]->measured,
							memory_order_relaxed);
	out->bytes = out->operations * run->plan.workload.bs;
	out->elapsed_ns = elapsed_so_far(run);
	if (out->finished && !rw_run_result(run, &result))
		out->elapsed_ns = result.elapsed_ns;
	return 0;
}

const char *rw_run_detail(const struct rw_run *run)
{
	return atomic_load_explicit(&run->error, memory_order_acquire) ? run->detail : "";
}
