/*
 * io_uring: submission and completion rings shared with the kernel; io_uring(7).
 *
 * A submit that a waiting reap follows only fills ring entries: the reap's
 * io_uring_enter() then hands them over and waits in one system call.
 */
#include <errno.h>
#include <liburing.h>

#include "core/clock.h"
#include "core/error.h"
#include "paths/uring.h"

/* As many at once as do not block for long on a short device queue. */
#define SUBMIT_AT_ONCE 64u

static struct rw_uring_queue *uring_of(struct rw_queue *queue)
{
	return (struct rw_uring_queue *)queue;
}

/* ------------------------------------------------------------ life cycle */

/* All that can be found out without doing I/O, on a small ring of its own. */
static int try_ring(int fd, uint32_t options)
{
	struct io_uring ring;
	int error = rw_uring_ring_init(&ring, 1, options);

	if (error)
		return error;
	if (options & RW_URING_FIXED)
		error = rw_uring_register(&ring, fd);
	if (!error && (options & RW_URING_FIXED))
		error = rw_uring_try_memory(&ring);
	rw_uring_ring_exit(&ring, options);
	return error;
}

static int uring_open(struct rw_device *device, const struct rw_target *target,
		      const struct rw_open_request *request)
{
	struct rw_file *file = (struct rw_file *)device;
	int error = rw_file_open(device, target, request);

	if (error)
		return error;
	error = rw_uring_check_options(request->options, request, &file->facts);
	if (!error)
		error = try_ring(file->fd, request->options);
	if (error)
		rw_file_close(device);
	return error;
}

static int uring_probe(const struct rw_target *target, const struct rw_open_request *request)
{
	struct rw_file file = { .fd = -1 };
	int error = uring_open(&file.base, target, request);

	if (!error)
		rw_file_close(&file.base);
	return error;
}

static int64_t uring_special(struct rw_device *device, const struct rw_part *part)
{
	return rw_file_special((const struct rw_file *)device, part);
}

static int uring_create(struct rw_queue *queue)
{
	const struct rw_file *file = (const struct rw_file *)queue->device;
	struct rw_uring_queue *self = uring_of(queue);
	int error = rw_inline_create(queue);

	if (error)
		return error;
	self->line.transfer = uring_special;
	self->options = queue->device->info.options;
	self->file = self->options & RW_URING_FIXED ? 0 : file->fd;
	error = rw_uring_ring_init(&self->ring, queue->depth, self->options);
	if (error) {
		rw_inline_destroy(queue);
		return error;
	}
	if (self->options & RW_URING_FIXED)
		error = rw_uring_register(&self->ring, file->fd);
	self->removals = atomic_load(&rw_region_removals);
	if (error) {
		rw_uring_ring_exit(&self->ring, self->options);
		rw_inline_destroy(queue);
	}
	return error;
}

static void uring_destroy(struct rw_queue *queue)
{
	struct rw_uring_queue *self = uring_of(queue);

	/* Kernels before 6.13 unregister only when no request is out, and wait for that. */
	rw_uring_ring_exit(&self->ring, self->in_kernel ? 0 : self->options);
	rw_inline_destroy(queue);
}

/* ------------------------------------------------------------- submitting */

static bool is_special(const struct rw_uring_queue *self, const struct rw_part *part)
{
	return part->opcode > RW_FLUSH ||
	       (part->opcode == RW_FLUSH && (self->options & RW_URING_IOPOLL));
}

static void fill_transfer(struct rw_uring_queue *self, struct io_uring_sqe *sqe,
			  const struct rw_part *part, bool read)
{
	void *memory = (void *)part->memory;
	int slot = -1;

	if (self->options & RW_URING_FIXED) {
		slot = part->region < 0 ? -1 : rw_uring_fixed_slot(self, part->region);
		self->line.base.counters.copies += slot < 0;
	}
	if (slot >= 0 && read)
		io_uring_prep_read_fixed(sqe, self->file, memory, part->length, part->offset, slot);
	else if (slot >= 0)
		io_uring_prep_write_fixed(sqe, self->file, memory, part->length, part->offset, slot);
	else if (read)
		io_uring_prep_read(sqe, self->file, memory, part->length, part->offset);
	else
		io_uring_prep_write(sqe, self->file, memory, part->length, part->offset);
}

static bool fill(struct rw_uring_queue *self, const struct rw_part *part)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);

	if (!sqe)
		return false;
	if (part->opcode == RW_FLUSH)
		io_uring_prep_fsync(sqe, self->file, IORING_FSYNC_DATASYNC);
	else
		fill_transfer(self, sqe, part, part->opcode == RW_READ);
	if (self->options & RW_URING_FIXED)
		sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = part->index;
	self->pending++;
	self->in_kernel++;
	return true;
}

/* With SQPOLL the kernel's thread picks entries up by itself while it is awake. */
static bool must_enter(const struct rw_uring_queue *self)
{
	return !(self->options & RW_URING_SQPOLL) ||
	       (IO_URING_READ_ONCE(*self->ring.sq.kflags) & IORING_SQ_NEED_WAKEUP);
}

/* EAGAIN and EBUSY leave entries in the ring: the next call shows them again. */
static int show_pending(struct rw_uring_queue *self)
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

static int uring_submit(struct rw_queue *queue, struct rw_part *const *parts, uint32_t n,
			uint32_t flags)
{
	struct rw_uring_queue *self = uring_of(queue);
	uint32_t done;
	int error = 0;

	if (self->options & RW_URING_FIXED)
		rw_uring_tidy(self);
	for (done = 0; done < n && !error; done++) {
		if (is_special(self, parts[done])) {
			rw_inline_submit(queue, &parts[done], 1, flags);
			rw_queue_announce(queue);
		} else if (!fill(self, parts[done])) {
			break;
		}
		if (self->pending >= SUBMIT_AT_ONCE)
			error = show_pending(self);
	}
	if (self->pending && !error && !(flags & RW_SUBMIT_REAP_FOLLOWS))
		error = show_pending(self);
	/* What is in the ring is accepted: the next call meets the error again. */
	return done ? (int)done : error;
}

/* ---------------------------------------------------------------- reaping */

/* Entries to show, completions to poll for, or task work the kernel put off. */
static int poke(struct rw_uring_queue *self)
{
	if (self->pending)
		return show_pending(self);
	if (!(self->options & RW_URING_IOPOLL) &&
	    !(IO_URING_READ_ONCE(*self->ring.sq.kflags) & IORING_SQ_TASKRUN))
		return 0;
	self->line.base.counters.syscalls++;
	return io_uring_get_events(&self->ring);
}

static int wait(struct rw_uring_queue *self, uint32_t min, int64_t deadline_ns)
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

static int take(struct rw_uring_queue *self, struct rw_event *out, uint32_t max)
{
	struct io_uring_cqe *cqe;
	unsigned int head;
	uint32_t n = 0;

	io_uring_for_each_cqe(&self->ring, head, cqe) {
		if (n == max)
			break;
		out[n++] = (struct rw_event){ .part = (uint32_t)cqe->user_data,
					      .result = cqe->res };
	}
	io_uring_cq_advance(&self->ring, n);
	self->in_kernel -= n;
	return (int)n;
}

/*
 * With deferred task run it is the reap that posts completions: the event fd
 * would tell of those it takes itself. Work that came while it was off shows in
 * the ring's flags, which the kernel sets before it looks whether the fd is on.
 */
static void set_event_fd(struct rw_uring_queue *self, bool on)
{
	if (!(self->options & RW_URING_DEFER) || self->line.base.event_fd < 0)
		return;
	io_uring_cq_eventfd_toggle(&self->ring, on);
	atomic_thread_fence(memory_order_seq_cst);
	if (on && (IO_URING_READ_ONCE(*self->ring.sq.kflags) & IORING_SQ_TASKRUN))
		rw_queue_announce(&self->line.base);
}

/* Completions that came while others were taken: worth a call, or each wakes a wait of its own. */
static int take_deferred(struct rw_uring_queue *self, struct rw_event *out, uint32_t max)
{
	int n = 0, more = 1;

	while (more && (uint32_t)n < max && self->in_kernel &&
	       (IO_URING_READ_ONCE(*self->ring.sq.kflags) & IORING_SQ_TASKRUN)) {
		self->line.base.counters.syscalls++;
		io_uring_get_events(&self->ring);
		more = take(self, out + n, max - (uint32_t)n);
		n += more;
	}
	return n;
}

static int uring_reap(struct rw_queue *queue, struct rw_event *out, uint32_t min, uint32_t max,
		      int64_t deadline_ns)
{
	struct rw_uring_queue *self = uring_of(queue);
	int error = 0, n = 0;

	if (self->line.count) {
		if (self->pending)
			show_pending(self);
		n = rw_inline_reap_slow(queue, out, min, max, deadline_ns);
	}
	if (!self->in_kernel)
		return n;
	set_event_fd(self, false);
	if (min && !n && !(self->options & RW_URING_IOPOLL))
		error = wait(self, min < self->in_kernel ? min : self->in_kernel, deadline_ns);
	else
		error = poke(self);
	n += take(self, out + n, max - (uint32_t)n);
	n += take_deferred(self, out + n, max - (uint32_t)n);
	set_event_fd(self, true);
	return n || error >= 0 ? n : error;
}

static int uring_event_fd(struct rw_queue *queue)
{
	struct rw_uring_queue *self = uring_of(queue);
	int error;

	if (self->options & RW_URING_IOPOLL)
		return rw_fail(EOPNOTSUPP, "with option iopoll completions are only there when they are "
					   "polled for: no event fd tells of them");
	error = io_uring_register_eventfd(&self->ring, queue->event_fd);
	return error ? rw_fail(-error, "the ring refused an event fd") : 0;
}

const struct rw_path rw_io_uring_path = {
	.info = {
		.name = "io_uring",
		.summary = "rings shared with the kernel: many operations per system call",
	},
	.abi = RW_PATH_ABI,
	.preferred = RW_URING_FIXED | RW_URING_DEFER,
	.options = rw_uring_options,
	.device_size = sizeof(struct rw_file),
	.queue_size = sizeof(struct rw_uring_queue),
	.probe = uring_probe,
	.open = uring_open,
	.close = rw_file_close,
	.queue_create = uring_create,
	.queue_destroy = uring_destroy,
	.submit = uring_submit,
	.reap = uring_reap,
	.event_fd = uring_event_fd,
};
