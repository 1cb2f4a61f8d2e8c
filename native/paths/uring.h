/* What the paths over io_uring share: their queue, and its ring from set-up to the end. */
#ifndef RW_PATHS_URING_H
#define RW_PATHS_URING_H

#include <liburing.h>

#include "core/region.h"
#include "paths/inline.h"

enum rw_uring_option {
	RW_URING_FIXED = 1 << 0,  /* registered buffers and file */
	RW_URING_SQPOLL = 1 << 1, /* a kernel thread submits */
	RW_URING_IOPOLL = 1 << 2, /* completions are polled for, no interrupts */
	RW_URING_DEFER = 1 << 3,  /* single issuer, deferred task run */
	/* No option that can be asked for: entries of double size, for commands. */
	RW_URING_COMMANDS = 1 << 4,
};

/* As a window: regions are registered whole. */
#define RW_URING_WHOLE 63u

extern const struct rw_option_info rw_uring_options[];

/* What is registered in a slot of the ring's table of buffers. */
struct rw_uring_slot {
	uint32_t serial;         /* of the region, 0: nothing */
	uint32_t window : 31;    /* which piece of it */
	uint32_t refused : 1;    /* the kernel would not register it */
};

struct rw_uring_queue {
	struct rw_inline_queue line;     /* parts the ring does not take */
	struct io_uring ring;
	uint32_t options;
	uint32_t pending;                /* filled, not yet shown to the kernel */
	uint32_t in_kernel;
	int file;                        /* descriptor, or 0: the registered one */
	uint32_t window_shift;           /* regions are registered in pieces of 1 << so many bytes */
	uint32_t slot_count;
	struct rw_uring_slot *slots;
	uint32_t removals;               /* rw_region_removals when the table was last tidied */
};

static inline struct rw_uring_queue *rw_uring_of(struct rw_queue *queue)
{
	return (struct rw_uring_queue *)queue;
}

/* uring.c: a queue's life, and its calls into the kernel. */

/*
 * The hooks of both paths; `options` also tells the kind of ring. Regions are
 * registered in windows of 1 << window_shift bytes, or RW_URING_WHOLE.
 */
int rw_uring_create(struct rw_queue *queue, int fd, uint32_t options, uint32_t window_shift);
void rw_uring_destroy(struct rw_queue *queue);
int rw_uring_event_fd(struct rw_queue *queue);

/* Shows filled entries to the kernel. EAGAIN and EBUSY leave them in the ring for the next call. */
int rw_uring_show(struct rw_uring_queue *queue);
/* Looks without waiting: entries to show, completions to poll for, work the kernel put off. */
int rw_uring_poke(struct rw_uring_queue *queue);
int rw_uring_wait(struct rw_uring_queue *queue, uint32_t min, int64_t deadline_ns);
void rw_uring_switch_event_fd(struct rw_uring_queue *queue, bool on);

/* uring_setup.c: rings, options, registration. */

/* Can these options be had together, and for this target? 0, or why not. */
int rw_uring_check_options(uint32_t options, bool direct, bool polls);
/* A ring for `entries` requests. */
int rw_uring_ring_init(struct io_uring *ring, uint32_t entries, uint32_t options);
void rw_uring_ring_exit(struct io_uring *ring, uint32_t options);
/* Registers the file and a table of `slots` buffers of a ring with RW_URING_FIXED. */
int rw_uring_register(struct io_uring *ring, int fd, uint32_t slots);
/* Registers a region's worth of memory in a free slot: is there enough that may be locked? */
int rw_uring_try_memory(struct io_uring *ring, uint32_t slot);
/* Lets go of regions that are gone: a registration keeps their pages. */
void rw_uring_tidy(struct rw_uring_queue *queue);
/* The slot that the part's memory is registered in, -1 when the kernel refused it. */
int rw_uring_find_slot(struct rw_uring_queue *queue, const struct rw_part *part);

#endif
