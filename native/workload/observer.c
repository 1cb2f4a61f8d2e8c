/* The observer's thread: begin, look from time to time, end. */
#include "workload/observer.h"

#include "core/clock.h"
#include "workload/run.h"
#include "workload/worker.h"

#define LOOK_EVERY_NS (RW_NS_PER_S / 2)

/* The run's threads, and the kernel's that submit for them. */
static void open_punts(struct rw_run *run)
{
	struct rw_observer *observer = &run->observer;
	int32_t threads[RW_PUNTS_MAX_THREADS];
	uint32_t n = 0;

	for (uint32_t i = 0; i < run->threads; i++)
		threads[n++] = run->workers[i]->tid;
	for (uint32_t i = 0; i < observer->helpers.count && n < RW_PUNTS_MAX_THREADS; i++)
		threads[n++] = observer->helpers.known[i].tid;
	/* Not being allowed to is no failure of the run: reads then give -1. */
	rw_punts_open(&observer->punts, threads, n);
}

static void begin(struct rw_observer *observer)
{
	rw_helpers_begin(&observer->helpers);
	observer->punts_at_begin = rw_punts_read(&observer->punts);
}

static void end(struct rw_observer *observer)
{
	int64_t punts = rw_punts_read(&observer->punts);

	rw_helpers_sample(&observer->helpers);
	observer->punted = punts < 0 || observer->punts_at_begin < 0 ? -1 :
			   punts - observer->punts_at_begin;
}

/* The ramp's work does not count: begin again when it is over. */
static void *observe(void *argument)
{
	struct rw_run *run = argument;
	int64_t window_ns;
	bool all;

	rw_run_await_open(run, RW_READY);
	window_ns = run->start_ns + run->plan.ramp_ns;
	all = rw_run_await_all(run, RW_CLOSED, window_ns);
	if (run->plan.ramp_ns)
		begin(&run->observer);
	while (!all) {
		all = rw_run_await_all(run, RW_CLOSED, rw_deadline_ns(LOOK_EVERY_NS));
		if (!all)
			rw_helpers_sample(&run->observer.helpers);
	}
	end(&run->observer);
	rw_run_open(run, RW_CLOSED);
	/* Takes tens of milliseconds: the kernel waits until nobody is in the tracepoint. */
	rw_punts_close(&run->observer.punts);
	return NULL;
}

int rw_observer_start(struct rw_run *run)
{
	rw_helpers_init(&run->observer.helpers, RW_HELPERS_ROOT);
	run->observer.punted = -1;
	return rw_run_thread(&run->observer.thread, observe, run);
}

void rw_observer_begin(struct rw_run *run)
{
	rw_helpers_sample(&run->observer.helpers);
	open_punts(run);
	begin(&run->observer);
}

void rw_observer_join(struct rw_run *run)
{
	pthread_join(run->observer.thread, NULL);
	rw_helpers_deinit(&run->observer.helpers);
}
