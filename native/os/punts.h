/*
 * Counts the requests that io_uring handed to a kernel worker instead of
 * issuing them at once ("punts"), through the kernel's own tracepoint
 * io_uring:io_uring_queue_async_work. That takes the right to use perf events
 * on tracepoints (root, or CAP_PERFMON and a readable tracefs).
 *
 * The events sit on the CPUs, filtered by thread: events that sit on a thread
 * are switched with it, which was seen to add 0.3 to 1 microsecond to each
 * context switch of the run that is being measured.
 */
#ifndef RW_OS_PUNTS_H
#define RW_OS_PUNTS_H

#include <stdint.h>

enum { RW_PUNTS_MAX_THREADS = 144 };

struct rw_punts {
	int *fds;                /* one perf event per CPU */
	uint32_t count;          /* 0: not counting */
};

/*
 * Starts to count what the n threads (gettid(2)) submit. 0, or a negative
 * errno with rw_detail() saying why not; then reads give -1.
 */
int rw_punts_open(struct rw_punts *punts, const int32_t *threads, uint32_t n);
void rw_punts_close(struct rw_punts *punts);
/* The count so far; -1 when it is not counting. */
int64_t rw_punts_read(const struct rw_punts *punts);

#endif
