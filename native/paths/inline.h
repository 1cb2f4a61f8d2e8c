/*
 * Queues of paths that do a part at once in the calling thread: submit only
 * lines parts up, reap carries them out. Work so happens inside a call that
 * has a deadline, and a batch can be interrupted between parts.
 */
#ifndef RW_PATHS_INLINE_H
#define RW_PATHS_INLINE_H

#include "core/queue.h"

/* Embedded by paths that line up some of their parts; base struct first. */
struct rw_inline_queue {
	struct rw_queue base;
	struct rw_part **line;   /* ring of `depth` entries: parts never outnumber it */
	uint32_t head, count;
	int64_t (*transfer)(struct rw_device *device, const struct rw_part *part);
};

/* Parts are carried out by the path's transfer; a path without one sets its own. */
int rw_inline_create(struct rw_queue *queue);
void rw_inline_destroy(struct rw_queue *queue);
int rw_inline_submit(struct rw_queue *queue, struct rw_part *const *parts, uint32_t n,
		     uint32_t flags);
/* For parts that take no time worth measuring: memory. */
int rw_inline_reap(struct rw_queue *queue, struct rw_event *out, uint32_t min, uint32_t max,
		   int64_t deadline_ns);
/* For parts that may each wait for a device: comes back in between. */
int rw_inline_reap_slow(struct rw_queue *queue, struct rw_event *out, uint32_t min, uint32_t max,
			int64_t deadline_ns);

#endif
