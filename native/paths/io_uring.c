/*
 * io_uring: submission and completion rings shared with the kernel; io_uring(7).
 * Reads, writes and flushes of files and block devices.
 */
#include "core/error.h"
#include "paths/file.h"
#include "paths/uring_loop.h"

/* ------------------------------------------------------------ life cycle */

/* All that can be found out without doing I/O, on a small ring of its own. */
static int try_ring(int fd, uint32_t options)
{
	struct io_uring ring;
	int error = rw_uring_ring_init(&ring, 1, options);

	if (error)
		return error;
	if (options & RW_URING_FIXED)
		error = rw_uring_register(&ring, fd, 1);
	if (!error && (options & RW_URING_FIXED))
		error = rw_uring_try_memory(&ring, 0);
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
	error = rw_uring_check_options(request->options, request->direct, file->facts.polls);
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
	int error = rw_uring_create(queue, file->fd, queue->device->info.options, RW_URING_WHOLE);

	if (!error)
		rw_uring_of(queue)->line.transfer = uring_special;
	return error;
}

/* ----------------------------------------------------------------- entries */

static inline bool by_call(const struct rw_uring_queue *self, const struct rw_part *part)
{
	return part->opcode > RW_FLUSH ||
	       (part->opcode == RW_FLUSH && (self->options & RW_URING_IOPOLL));
}

static inline void fill_transfer(struct rw_uring_queue *self, struct io_uring_sqe *sqe,
				 const struct rw_part *part, bool read)
{
	int slot = rw_uring_slot_for(self, part);
	void *memory = (void *)part->memory;

	if (slot >= 0 && read)
		io_uring_prep_read_fixed(sqe, self->file, memory, part->length, part->offset, slot);
	else if (slot >= 0)
		io_uring_prep_write_fixed(sqe, self->file, memory, part->length, part->offset, slot);
	else if (read)
		io_uring_prep_read(sqe, self->file, memory, part->length, part->offset);
	else
		io_uring_prep_write(sqe, self->file, memory, part->length, part->offset);
}

static inline void fill(struct rw_uring_queue *self, struct io_uring_sqe *sqe,
			const struct rw_part *part)
{
	if (part->opcode == RW_FLUSH)
		io_uring_prep_fsync(sqe, self->file, IORING_FSYNC_DATASYNC);
	else
		fill_transfer(self, sqe, part, part->opcode == RW_READ);
}

static inline void read_result(const struct rw_uring_queue *self, const struct io_uring_cqe *cqe,
			       struct rw_event *event)
{
	(void)self;
	event->status = 0;
	event->result = cqe->res;
}

static const struct rw_uring_kind transfers = {
	.by_call = by_call,
	.fill = fill,
	.read = read_result,
};

static int uring_submit(struct rw_queue *queue, struct rw_part *const *parts, uint32_t n,
			uint32_t flags)
{
	return rw_uring_submit(queue, parts, n, flags, &transfers);
}

static int uring_reap(struct rw_queue *queue, struct rw_event *out, uint32_t min, uint32_t max,
		      int64_t deadline_ns)
{
	return rw_uring_reap(queue, out, min, max, deadline_ns, &transfers);
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
	.queue_destroy = rw_uring_destroy,
	.submit = uring_submit,
	.reap = uring_reap,
	.event_fd = rw_uring_event_fd,
};
