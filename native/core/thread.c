/* Thread numbers and the fork counter. */
#include "core/thread.h"

#include <pthread.h>

uint32_t rw_fork_generation;

static _Atomic uint64_t last_thread;
static _Thread_local uint64_t this_thread;

/* Kernel thread ids are reused; a queue must not pass to a newcomer that way. */
uint64_t rw_thread_id(void)
{
	if (!this_thread)
		this_thread = atomic_fetch_add(&last_thread, 1) + 1;
	return this_thread;
}

static void count_fork(void)
{
	rw_fork_generation++;
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, count_fork);
}
