/* A queue over an io_uring ring: its life, and its calls into the kernel; io_uring_enter(2). */
#include "paths/uring.h"

#include <errno.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/error.h"

/* ------------------------------------------------------------ life cycle */

/* Regions in pieces have many slots, at most as many as the kernel has (IORING_MAX_REG_BUFFERS). */
enum { MOST_SLOTS = 16384 };

static int make_table(struct rw_uring_queue *self, int fd)
{
	int error;

	self->slot_count = self->window_shift == RW_URING_WHOLE ? RW_MAX_REGIONS : MOST_SLOTS;
	self->slots = calloc(self->slot_count, sizeof(*self->slots));
	if (!self->slots)
		return rw_fail(ENOMEM, "no memory for a table of %u buffers", self->slot_count);
	error = rw_uring_register(&self->ring, fd, self->slot_count);
	if (error)
		free(self->slots);
	return error;
}

int rw_uring_create(struct rw_queue *queue, int fd, uint32_t options, uint32_t window_shift)
{
	struct rw_uring_queue *self = rw_uring_of(queue);
	int error = rw_inline_create(queue);

	if (error)
		return error;
	self->options = options;
	self->window_shift = window_shift;
	self->file = options & RW_URING_FIXED ? 0 : fd;
	self->removals = atomic_load(&rw_region_removals);
	error = rw_uring_ring_init(&self->ring, queue->depth, options);
	if (error) {
		rw_inline_destroy(queue);
		return error;
	}
	if (options & RW_URING_FIXED)
		error = make_table(self, fd);
	if (error) {
		rw_uring_ring_exit(&self->ring, options);
		rw_inline_destroy(queue);
	}
	return error;
}

void rw_uring_destroy(struct rw_queue *queue)
{
	struct rw_uring_queue *self = rw_uring_of(queue);

	/* Kernels before 6.13 unregister only when no request is out, and wait for that. */
	rw_uring_ring_exit(&self->ring, self->in_kernel ? 0 : self->options);
	free(self->slots);
	rw_inline_destroy(queue);
}

int rw_uring_event_fd(struct rw_queue *queue)
{
	struct rw_uring_queue *self = rw_uring_of(queue);
	int error;

	if (self->options & RW_URING_IOPOLL)
		return rw_fail(EOPNOTSUPP, "with option iopoll completions are only there when they are "
					   "polled for: no event fd tells of them");
	error = io_uring_register_eventfd(&self->ring, queue->event_fd);
	return error ? rw_fail(-error, "the ring refused an event fd") : 0;
}

/* -------------------------------------------------------- calls into the kernel */

/* With SQPOLL the kernel's thread picks entries up by itself while it is awake. */
static bool must_enter(const struct rw_uring_queue *self)
{
	return !(self->options & RW_URING_SQPOLL) ||
	       (IO_URING_READ_ONCE(*self->ring.sq.kflags) & IORING_SQ_NEED_WAKEUP);
}

int rw_uring_show(struct rw_uring_queue *self)
{
	int n;

	self->line.base.counters.syscalls += must_enter(self);
	n = self->options & (RW_URING_DEFER | RW_URING_IOPOLL) ?
	    io_uring_submit_and_get_events(&self->ring) : io_uring_submit(&self->ring);
	self->pending = io_uring_sq_ready(&self->ring);
	if (self->options & RW_URING_SQPOLL)
		self->pending = 0;
	return n < 0 && n != -EAGAIN && n != -EBUSY && n != -EINTR ? n : 0;
}

int rw_uring_poke(struct rw_uring_queue *self)
{
	if (self->pending)
		return rw_uring_show(self);
	if (!(self->options & RW_URING_IOPOLL) &&
	    !(IO_URING_READ_ONCE(*self->ring.sq.kflags) & IORING_SQ_TASKRUN))
		return 0;
	self->line.base.counters.syscalls++;
	return io_uring_get_events(&self->ring);
}

int rw_uring_wait(struct rw_uring_queue *self, uint32_t min, int64_t deadline_ns)
{
	int64_t left = deadline_ns - rw_now_ns();
	struct __kernel_timespec time = { 0 };
	struct io_uring_cqe *cqe;
	int n;

	if (left > 0)
		time = (struct __kernel_timespec){ left / RW_NS_PER_S, left % RW_NS_PER_S };
	self->line.base.counters.syscalls++;
	n = io_uring_submit_and_wait_timeout(&self->ring, &cqe, min, &time, NULL);
	self->pending = self->options & RW_URING_SQPOLL ? 0 : io_uring_sq_ready(&self->ring);
	/* Of a call that submitted something the kernel does not tell that a signal ended it. */
	if (n > 0 && !io_uring_cq_ready(&self->ring) && rw_now_ns() < deadline_ns)
		return -EINTR;
	return n == -ETIME || n == -EAGAIN || n == -EBUSY ? 0 : n;
}

/*
 * With deferred task run it is the reap that posts completions: the event fd
 * would tell of those it takes itself. Work that came while it was off shows in
 * the ring's flags, which the kernel sets before it looks whether the fd is on.
 */
void rw_uring_switch_event_fd(struct rw_uring_queue *self, bool on)
{
	if (!(self->options & RW_URING_DEFER) || self->line.base.event_fd < 0)
		return;
	io_uring_cq_eventfd_toggle(&self->ring, on);
	atomic_thread_fence(memory_order_seq_cst);
	if (on && (IO_URING_READ_ONCE(*self->ring.sq.kflags) & IORING_SQ_TASKRUN))
		rw_queue_announce(&self->line.base);
}
