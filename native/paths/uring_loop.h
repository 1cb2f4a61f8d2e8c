/*
 * The loops of the paths over io_uring, submitting and taking completions.
 *
 * What differs between paths is a `static const struct rw_uring_kind`. With it
 * each path's loops are compiled into its own file, so that filling an entry
 * and reading a completion cost no call.
 *
 * A submit that a waiting reap follows only fills ring entries: the reap's
 * io_uring_enter() then hands them over and waits in one system call.
 */
#ifndef RW_PATHS_URING_LOOP_H
#define RW_PATHS_URING_LOOP_H

#include "paths/uring.h"

/* As many at once as do not block for long on a short device queue. */
#define RW_URING_SUBMIT_AT_ONCE 64u

#define RW_URING_LOOP static inline __attribute__((always_inline))

struct rw_uring_kind {
	/* Parts that are carried out by system calls of their own when reaped. */
	bool (*by_call)(const struct rw_uring_queue *queue, const struct rw_part *part);
	/* All of an entry but its user data. */
	void (*fill)(struct rw_uring_queue *queue, struct io_uring_sqe *sqe,
		     const struct rw_part *part);
	/* Result and status of an event whose part is set. */
	void (*read)(const struct rw_uring_queue *queue, const struct io_uring_cqe *cqe,
		     struct rw_event *event);
};

/* The slot of registered memory to use for a part, -1: none. */
RW_URING_LOOP int rw_uring_slot_for(struct rw_uring_queue *self, const struct rw_part *part)
{
	int slot;

	if (!(self->options & RW_URING_FIXED))
		return -1;
	slot = part->region < 0 ? -1 : rw_uring_find_slot(self, part);
	self->line.base.counters.copies += slot < 0;
	return slot;
}

RW_URING_LOOP bool rw_uring_fill(struct rw_uring_queue *self, const struct rw_part *part,
				 const struct rw_uring_kind *kind)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);

	if (!sqe)
		return false;
	kind->fill(self, sqe, part);
	if (self->options & RW_URING_FIXED)
		sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = part->index;
	self->pending++;
	self->in_kernel++;
	return true;
}

RW_URING_LOOP int rw_uring_submit(struct rw_queue *queue, struct rw_part *const *parts, uint32_t n,
				  uint32_t flags, const struct rw_uring_kind *kind)
{
	struct rw_uring_queue *self = rw_uring_of(queue);
	uint32_t done;
	int error = 0;

	if (self->options & RW_URING_FIXED)
		rw_uring_tidy(self);
	for (done = 0; done < n && !error; done++) {
		if (kind->by_call(self, parts[done])) {
			rw_inline_submit(queue, &parts[done], 1, flags);
			rw_queue_announce(queue);
		} else if (!rw_uring_fill(self, parts[done], kind)) {
			break;
		}
		if (self->pending >= RW_URING_SUBMIT_AT_ONCE)
			error = rw_uring_show(self);
	}
	if (self->pending && !error && !(flags & RW_SUBMIT_REAP_FOLLOWS))
		error = rw_uring_show(self);
	/* What is in the ring is accepted: the next call meets the error again. */
	return done ? (int)done : error;
}

RW_URING_LOOP int rw_uring_take(struct rw_uring_queue *self, struct rw_event *out, uint32_t max,
				const struct rw_uring_kind *kind)
{
	struct io_uring_cqe *cqe;
	unsigned int head;
	uint32_t n = 0;

	io_uring_for_each_cqe(&self->ring, head, cqe) {
		if (n == max)
			break;
		out[n].part = (uint32_t)cqe->user_data;
		kind->read(self, cqe, &out[n++]);
	}
	io_uring_cq_advance(&self->ring, n);
	self->in_kernel -= n;
	return (int)n;
}

/* Completions that came while others were taken: worth a call, or each wakes a wait of its own. */
RW_URING_LOOP int rw_uring_take_deferred(struct rw_uring_queue *self, struct rw_event *out,
					 uint32_t max, const struct rw_uring_kind *kind)
{
	int n = 0, more = 1;

	while (more && (uint32_t)n < max && self->in_kernel &&
	       (IO_URING_READ_ONCE(*self->ring.sq.kflags) & IORING_SQ_TASKRUN)) {
		self->line.base.counters.syscalls++;
		io_uring_get_events(&self->ring);
		more = rw_uring_take(self, out + n, max - (uint32_t)n, kind);
		n += more;
	}
	return n;
}

RW_URING_LOOP int rw_uring_reap(struct rw_queue *queue, struct rw_event *out, uint32_t min,
				uint32_t max, int64_t deadline_ns, const struct rw_uring_kind *kind)
{
	struct rw_uring_queue *self = rw_uring_of(queue);
	int error = 0, n = 0;

	if (self->line.count) {
		if (self->pending)
			rw_uring_show(self);
		n = rw_inline_reap_slow(queue, out, min, max, deadline_ns);
	}
	if (!self->in_kernel)
		return n;
	rw_uring_switch_event_fd(self, false);
	if (min && !n && !(self->options & RW_URING_IOPOLL))
		error = rw_uring_wait(self, min < self->in_kernel ? min : self->in_kernel,
				      deadline_ns);
	else
		error = rw_uring_poke(self);
	n += rw_uring_take(self, out + n, max - (uint32_t)n, kind);
	n += rw_uring_take_deferred(self, out + n, max - (uint32_t)n, kind);
	rw_uring_switch_event_fd(self, true);
	return n || error >= 0 ? n : error;
}

#endif
