/*
 * A thread beside those of the workload that watches what they cause elsewhere:
 * the CPU time of io_uring's kernel threads, and how many requests were handed
 * to them. It looks twice a second, so that a helper that ends is not lost, and
 * costs the workload's threads nothing.
 */
#ifndef RW_WORKLOAD_OBSERVER_H
#define RW_WORKLOAD_OBSERVER_H

#include <pthread.h>

#include "os/helpers.h"
#include "os/punts.h"

struct rw_run;

struct rw_observer {
	struct rw_helpers helpers;
	struct rw_punts punts;
	int64_t punts_at_begin;
	int64_t punted;          /* -1: cannot be counted here */
	pthread_t thread;
};

/* Starts the thread; it waits for the run to start. */
int rw_observer_start(struct rw_run *run);
/* All queues exist and nothing is submitted yet: counts from here. */
void rw_observer_begin(struct rw_run *run);
/* After the run; waits for the thread. */
void rw_observer_join(struct rw_run *run);

#endif
