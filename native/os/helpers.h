/*
 * CPU time of the kernel threads that io_uring keeps for this process: the
 * submission pollers (comm "iou-sqp-PID") and the workers ("iou-wrk-PID").
 * They are threads of the process, so /proc/self/task shows them.
 *
 * A thread that ends takes its figure with it: sample once a second and before
 * a ring is destroyed, and little is lost. Threads of every ring in the process
 * are counted. Not locked: the caller keeps its threads apart.
 */
#ifndef RW_OS_HELPERS_H
#define RW_OS_HELPERS_H

#include <stdint.h>

#define RW_HELPERS_ROOT "/proc/self/task"

struct rw_helper {
	int32_t tid;
	uint64_t last_ns;        /* CPU time when it was last seen */
};

struct rw_helpers {
	const char *root;        /* RW_HELPERS_ROOT, or a test's directory */
	uint64_t total_ns;
	struct rw_helper *known;
	uint32_t count, room;
};

void rw_helpers_init(struct rw_helpers *helpers, const char *root);
void rw_helpers_deinit(struct rw_helpers *helpers);

/* Counts from here: what the threads have used so far is left out. */
void rw_helpers_begin(struct rw_helpers *helpers);
/* Adds what they have used since the last look. */
void rw_helpers_sample(struct rw_helpers *helpers);

#endif
