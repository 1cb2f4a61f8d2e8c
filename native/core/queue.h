/*
 * The queue: base struct of every path's own.
 *
 * An operation takes a slot. Its bytes are carved into parts no longer than
 * the device takes at once; parts that a path has not accepted yet stand in
 * `ready`, slots with bytes left to carve in the waiting list. A part that
 * comes back short or with EAGAIN goes to `ready` again.
 */
#ifndef RW_CORE_QUEUE_H
#define RW_CORE_QUEUE_H

#include <stdatomic.h>

#include "core/device.h"
#include "core/path.h"

struct rw_buffer;

struct rw_slot {
	uint64_t offset;
	uintptr_t memory;
	uint64_t length;
	uint64_t user_data;
	uint64_t carved;         /* bytes given to parts */
	uint64_t moved;          /* bytes transferred */
	int64_t started_ns;      /* first hand-over to the path, 0 before it */
	struct rw_buffer *hold;  /* keeps the memory while in flight; NULL: foreign memory */
	uint32_t parts;          /* out, or ready to go */
	uint32_t generation;
	uint32_t next;           /* in the waiting list */
	uint32_t status;
	int32_t error;           /* first failure of a part, negative errno */
	int16_t region;
	uint8_t opcode;
	bool busy;
	bool abandoned;          /* nobody wants the completion */
	bool waiting;            /* in the waiting list */
};

struct rw_queue {
	struct rw_device *device;
	const struct rw_path *path;
	uint32_t depth;
	uint32_t in_flight;              /* slots in use */
	uint32_t prepared;               /* operations since the last submit */
	uint32_t ready_count;
	uint32_t free_slot_count, free_part_count;
	uint32_t waiting_head, waiting_tail;
	uint32_t near_region;            /* where the last memory lay */
	struct rw_slot *slots;
	struct rw_part *parts;
	struct rw_part **ready;
	struct rw_event *events;
	uint32_t *free_slots, *free_parts;
	int64_t wait_ns;                 /* learnt: how long a wait for the device takes */
	uint32_t sleeps;                 /* waits of a device too slow to spin for */
	struct rw_counters counters;
	int event_fd;                    /* made by the path when asked for, -1 before */
	uint64_t owner;                  /* rw_thread_id() */
	uint32_t fork_generation;
	_Atomic bool busy;               /* a call is inside */
	_Atomic bool closing;            /* and no other is let in */
	_Atomic bool closed;
	_Atomic uint32_t references;     /* the handle or the device's list, and who works on it */
	bool per_thread;                 /* the device's own, for the sync calls of one thread */
	struct rw_queue *next;           /* in device->queues */
};

/*
 * The steps of the public calls, for callers that own the queue for sure.
 * rw_queue_place() is rw_queue_add() for an operation that is checked already.
 */
int64_t rw_queue_add(struct rw_queue *queue, const struct rw_op *op);
int64_t rw_queue_place(struct rw_queue *queue, const struct rw_op *op);
int rw_queue_hand_over(struct rw_queue *queue, uint32_t flags);
int rw_queue_collect(struct rw_queue *queue, struct rw_completion *out, uint32_t min, uint32_t max,
		     int64_t deadline_ns);
/*
 * -EBUSY when somebody still waits for an operation: a signal handler that does
 * I/O on the device whose call it interrupted would take its completions.
 */
int rw_queue_check_idle(const struct rw_queue *queue);
/* A pause of 20 us, doubled with each try that was made before, not beyond the deadline. */
void rw_back_off(uint32_t tries, int64_t deadline_ns);
/* Nobody wants the completions of what is in flight now. */
void rw_queue_abandon(struct rw_queue *queue);

/* A queue for the calling thread, linked into its device. */
int rw_queue_make(struct rw_device *device, uint32_t depth, bool per_thread, struct rw_queue **out);
/*
 * Wants nothing of what is in flight, waits for it. Returns how much is left at
 * the deadline, or -EINTR after a signal.
 */
int rw_queue_drain(struct rw_queue *queue, int64_t deadline_ns);
/* Drains until the deadline and gives everything but the struct back. */
int rw_queue_shut_down(struct rw_queue *queue, int64_t deadline_ns);
/* Takes it off its device's list. */
void rw_queue_unlink(struct rw_queue *queue);
/* Drops a reference; the last one frees the struct of a queue that is shut down. */
void rw_queue_put(struct rw_queue *queue);

int rw_queue_make_event_fd(struct rw_queue *queue);
/* Makes the event fd readable: something waits that the kernel does not tell of. */
void rw_queue_announce(struct rw_queue *queue);
/* Before events are looked for: one that comes later makes it readable again. */
void rw_queue_hush(struct rw_queue *queue);

/* parts.c: what happens to parts between operation and path. */

/*
 * A part came back with `result`: moves it behind the bytes transferred.
 * 0: it is done, 1: send it again, negative: it failed so. A transfer may end
 * short only where the device ends; a shorter one means the file shrank.
 */
int rw_part_advance(const struct rw_device_info *info, struct rw_part *part, int64_t result);
void rw_parts_carve(struct rw_queue *queue, uint32_t slot);
void rw_parts_carve_waiting(struct rw_queue *queue);
/* Takes an event in; true when its operation is finished and *out filled. */
bool rw_parts_settle(struct rw_queue *queue, const struct rw_event *event, int64_t now_ns,
		     struct rw_completion *out);
/* Parts no path has accepted come back as cancelled. */
void rw_parts_cancel_ready(struct rw_queue *queue);

#endif
