/*
 * libaio: the kernel's older asynchronous interface (io_submit(2)), by its
 * system calls. Only O_DIRECT transfers are really asynchronous: buffered ones
 * are carried out inside io_submit().
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/error.h"
#include "paths/file.h"
#include "paths/inline.h"

/* As many submissions at once as never block long on a short device queue. */
#define SUBMIT_AT_ONCE 64u

struct aio_queue {
	struct rw_inline_queue line;     /* what the interface has no request for */
	aio_context_t context;
	struct iocb *iocbs;              /* by part index */
	struct iocb **batch;
	struct io_event *events;
	uint32_t in_kernel;
	struct rw_part *refused;         /* the kernel would not take it */
	int refusal;
};

/* The ring the kernel maps at the context's address; only its first words are read here. */
struct aio_ring_head {
	unsigned int id, size, head, tail;
};

static long aio_setup(unsigned int n, aio_context_t *context)
{
	return syscall(SYS_io_setup, n, context);
}

static int refuse_setup(int error)
{
	if (error == EAGAIN)
		return rw_fail(EAGAIN, "the kernel's limit of asynchronous requests is reached; raise "
				       "the sysctl fs.aio-max-nr");
	if (error == ENOSYS)
		return rw_fail(EOPNOTSUPP, "this kernel is built without libaio (CONFIG_AIO)");
	return rw_fail(error, "io_setup failed: %s", strerror(error));
}

static int aio_probe(const struct rw_target *target, const struct rw_open_request *request)
{
	aio_context_t context = 0;
	int error = rw_file_probe(target, request);

	if (error)
		return error;
	if (aio_setup(1, &context))
		return refuse_setup(errno);
	syscall(SYS_io_destroy, context);
	return 0;
}

static void aio_free(struct aio_queue *self)
{
	free(self->iocbs);
	free(self->batch);
	free(self->events);
	rw_inline_destroy(&self->line.base);
}

static int64_t aio_special(struct rw_device *device, const struct rw_part *part)
{
	return rw_file_special((const struct rw_file *)device, part);
}

static int aio_create(struct rw_queue *queue)
{
	struct aio_queue *self = (struct aio_queue *)queue;
	int error = rw_inline_create(queue);

	if (error)
		return error;
	self->line.transfer = aio_special;
	self->iocbs = calloc(queue->depth, sizeof(*self->iocbs));
	self->batch = calloc(queue->depth, sizeof(struct iocb *));
	self->events = calloc(queue->depth, sizeof(*self->events));
	if (!self->iocbs || !self->batch || !self->events)
		error = rw_fail(ENOMEM, "no memory for a queue of depth %u", queue->depth);
	else if (aio_setup(queue->depth, &self->context))
		error = refuse_setup(errno);
	if (error)
		aio_free(self);
	return error;
}

/* io_destroy() waits without a deadline: not while a request is still out. */
static void aio_destroy(struct rw_queue *queue)
{
	struct aio_queue *self = (struct aio_queue *)queue;

	if (!self->in_kernel)
		syscall(SYS_io_destroy, self->context);
	aio_free(self);
}

static bool is_special(const struct rw_part *part)
{
	return part->opcode == RW_DISCARD || part->opcode == RW_WRITE_ZEROES;
}

static struct iocb *fill_iocb(struct aio_queue *self, const struct rw_part *part)
{
	static const uint16_t commands[] = {
		[RW_READ] = IOCB_CMD_PREAD, [RW_WRITE] = IOCB_CMD_PWRITE, [RW_FLUSH] = IOCB_CMD_FDSYNC,
	};
	const struct rw_file *file = (const struct rw_file *)self->line.base.device;
	struct iocb *iocb = &self->iocbs[part->index];

	*iocb = (struct iocb){
		.aio_data = part->index,
		.aio_lio_opcode = commands[part->opcode],
		.aio_fildes = (uint32_t)file->fd,
		.aio_buf = part->memory,
		.aio_nbytes = part->length,
		.aio_offset = (int64_t)part->offset,
	};
	if (self->line.base.event_fd >= 0) {
		iocb->aio_flags = IOCB_FLAG_RESFD;
		iocb->aio_resfd = (uint32_t)self->line.base.event_fd;
	}
	return iocb;
}

/* The kernel stops at a request it refuses; that refusal is the request's result. */
static int aio_submit_run(struct aio_queue *self, struct rw_part *const *parts, uint32_t n)
{
	long accepted;

	for (uint32_t i = 0; i < n; i++)
		self->batch[i] = fill_iocb(self, parts[i]);
	self->line.base.counters.syscalls++;
	accepted = syscall(SYS_io_submit, self->context, n, self->batch);
	if (accepted >= 0) {
		self->in_kernel += (uint32_t)accepted;
		return (int)accepted;
	}
	if (errno == EAGAIN)
		return 0;
	self->refused = parts[0];
	self->refusal = -errno;
	rw_queue_announce(&self->line.base);
	return 1;
}

static uint32_t run_length(struct rw_part *const *parts, uint32_t n)
{
	uint32_t length = 0;

	while (length < n && length < SUBMIT_AT_ONCE && !is_special(parts[length]))
		length++;
	return length;
}

static int aio_submit(struct rw_queue *queue, struct rw_part *const *parts, uint32_t n,
		      uint32_t flags)
{
	struct aio_queue *self = (struct aio_queue *)queue;
	uint32_t done = 0;

	while (done < n && !self->refused) {
		uint32_t run = run_length(&parts[done], n - done), accepted;

		if (!run) {
			rw_inline_submit(queue, &parts[done++], 1, flags);
			rw_queue_announce(queue);
			continue;
		}
		accepted = (uint32_t)aio_submit_run(self, &parts[done], run);
		done += accepted;
		if (accepted < run)
			break;
	}
	return (int)done;
}

static int reap_refused(struct aio_queue *self, struct rw_event *out)
{
	*out = (struct rw_event){ .part = self->refused->index, .result = self->refusal };
	self->refused = NULL;
	return 1;
}

static bool kernel_has_events(const struct aio_queue *self)
{
	const volatile struct aio_ring_head *ring =
		(const volatile struct aio_ring_head *)self->context;

	return ring->head != ring->tail;
}

static int reap_kernel(struct aio_queue *self, struct rw_event *out, uint32_t min, uint32_t max,
		       int64_t deadline_ns)
{
	int64_t left = min ? deadline_ns - rw_now_ns() : 0;
	struct timespec time = { 0 };
	long n;

	if (!self->in_kernel || (!min && !kernel_has_events(self)))
		return 0;
	if (left > 0)
		time = (struct timespec){ left / RW_NS_PER_S, left % RW_NS_PER_S };
	if (min > self->in_kernel)
		min = self->in_kernel;
	self->line.base.counters.syscalls++;
	n = syscall(SYS_io_getevents, self->context, (long)min, (long)max, self->events, &time);
	if (n < 0)
		return -errno;
	for (long i = 0; i < n; i++)
		out[i] = (struct rw_event){ .part = (uint32_t)self->events[i].data,
					    .result = (int64_t)self->events[i].res };
	self->in_kernel -= (uint32_t)n;
	return (int)n;
}

static int aio_reap(struct rw_queue *queue, struct rw_event *out, uint32_t min, uint32_t max,
		    int64_t deadline_ns)
{
	struct aio_queue *self = (struct aio_queue *)queue;
	int n = 0, more;

	if (self->refused && max)
		n = reap_refused(self, out);
	if (self->line.count)
		n += rw_inline_reap_slow(queue, out + n, min, max - (uint32_t)n, deadline_ns);
	if ((uint32_t)n == max)
		return n;
	more = reap_kernel(self, out + n, n ? 0 : min, max - (uint32_t)n, deadline_ns);
	return n && more < 0 ? n : n + more;
}

/* Requests name the event fd one by one: those that are out already do not. */
static int aio_event_fd(struct rw_queue *queue)
{
	const struct aio_queue *self = (const struct aio_queue *)queue;

	if (!self->in_kernel)
		return 0;
	return rw_fail(EBUSY, "operations in flight cannot signal an event fd any more; ask for it "
			      "before the first submit, or reap them first");
}

const struct rw_path rw_libaio_path = {
	.info = {
		.name = "libaio",
		.summary = "the kernel's older asynchronous interface; asynchronous with O_DIRECT only",
	},
	.abi = RW_PATH_ABI,
	.device_size = sizeof(struct rw_file),
	.queue_size = sizeof(struct aio_queue),
	.probe = aio_probe,
	.open = rw_file_open,
	.close = rw_file_close,
	.queue_create = aio_create,
	.queue_destroy = aio_destroy,
	.submit = aio_submit,
	.reap = aio_reap,
	.event_fd = aio_event_fd,
};
