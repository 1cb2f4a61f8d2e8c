/*
 * A run: what its threads share. They pass three stages together:
 *
 *   ready   every thread has its queue and memory; rw_run_start() lets them go
 *   closed  every thread has ended its measurement; the observer takes its last
 *           look while the queues still exist, then lets them go
 *   ended   every queue is gone
 *
 * A thread that fails at any point notes why, asks all to stop, and passes the
 * stages like the others: there is one way out.
 */
#ifndef RW_WORKLOAD_RUN_H
#define RW_WORKLOAD_RUN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "workload/observer.h"
#include "workload/plan.h"

enum rw_stage { RW_READY, RW_CLOSED, RW_ENDED, RW_STAGES };

struct rw_worker;

struct rw_run {
	/* Written once or hardly ever while the threads read it. */
	struct rw_device *device;
	struct rw_plan plan;
	struct rw_device_info info;
	struct rw_worker *workers[RW_MAX_THREADS];
	uint32_t threads;        /* that were started */
	int64_t start_ns;
	_Atomic bool stop;

	_Alignas(RW_CACHE_LINE) pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t arrived[RW_STAGES];
	bool open[RW_STAGES];    /* who waits at the stage may go on */
	_Atomic int error;
	char detail[512];        /* written before `error` is, and once */
	struct rw_observer observer;
};

/* The first failure is kept; `code` is a negative errno. Does not stop the run. */
void rw_run_note(struct rw_run *run, int code, const char *text);

/* Tells that the calling thread has come to a stage; the others are woken. */
void rw_run_arrive(struct rw_run *run, enum rw_stage stage);
/* Waits for all threads to have come; false when the deadline passed before. */
bool rw_run_await_all(struct rw_run *run, enum rw_stage stage, int64_t deadline_ns);
/* Lets those go on that wait at a stage, and waits for that. */
void rw_run_open(struct rw_run *run, enum rw_stage stage);
void rw_run_await_open(struct rw_run *run, enum rw_stage stage);

/* A thread with every signal blocked that another thread could handle as well. */
int rw_run_thread(pthread_t *thread, void *(*main)(void *), void *argument);

#endif
