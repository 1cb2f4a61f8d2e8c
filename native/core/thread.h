/* Who is calling: threads and processes told apart. */
#ifndef RW_CORE_THREAD_H
#define RW_CORE_THREAD_H

#include <stdatomic.h>
#include <stdint.h>

/* Counts forks between the process that loaded the core and this one. */
extern uint32_t rw_fork_generation;

/* A number no other thread of the process has or had, never 0. */
uint64_t rw_thread_id(void);

#endif
