/*
 * io_uring_cmd: NVMe commands over io_uring, past the block layer; the
 * namespace's character device takes them (IORING_OP_URING_CMD, Linux 5.19).
 */
#include <errno.h>
#include <stdlib.h>

#include "core/error.h"
#include "nvme/status.h"
#include "os/nvmechar.h"
#include "paths/io_uring_cmd.h"
#include "paths/uring_loop.h"

/* ------------------------------------------------------------ life cycle */

static int cmd_create(struct rw_queue *queue)
{
	const struct rw_cmd_device *device = (const struct rw_cmd_device *)queue->device;
	struct rw_cmd_queue *self = (struct rw_cmd_queue *)queue;
	int error;

	self->nsid = device->nsid;
	self->block_shift = device->block_shift;
	self->ranges = calloc(queue->depth, sizeof(*self->ranges));
	if (!self->ranges)
		return rw_fail(ENOMEM, "no memory for a queue of depth %u", queue->depth);
	error = rw_uring_create(queue, device->fd, device->base.info.options | RW_URING_COMMANDS,
				device->window_shift);
	if (error)
		free(self->ranges);
	return error;
}

/* A range is read when its command is submitted: none is needed after. */
static void cmd_destroy(struct rw_queue *queue)
{
	struct rw_cmd_queue *self = (struct rw_cmd_queue *)queue;

	rw_uring_destroy(queue);
	free(self->ranges);
}

/* ----------------------------------------------------------------- commands */

static inline bool never(const struct rw_uring_queue *self, const struct rw_part *part)
{
	(void)self;
	(void)part;
	return false;
}

static inline void fill_transfer(struct rw_cmd_queue *self, struct io_uring_sqe *sqe,
				 const struct rw_part *part)
{
	int slot = rw_uring_slot_for(&self->uring, part);
	struct rw_nvme_command *command = rw_cmd_entry(sqe, self->uring.file, slot);

	rw_nvme_fill_blocks(command, part->opcode == RW_READ ? RW_NVME_READ : RW_NVME_WRITE,
			    self->nsid, part->offset >> self->block_shift,
			    part->length >> self->block_shift);
	command->address = part->memory;
	command->data_length = part->length;
}

static void fill_deallocate(struct rw_cmd_queue *self, struct rw_nvme_command *command,
			    const struct rw_part *part)
{
	struct rw_nvme_range *range = &self->ranges[part->index];

	range->blocks = part->length >> self->block_shift;
	range->slba = part->offset >> self->block_shift;
	rw_nvme_fill_deallocate(command, self->nsid, 1);
	command->address = (uintptr_t)range;
	command->data_length = sizeof(*range);
}

static void fill_other(struct rw_cmd_queue *self, struct io_uring_sqe *sqe,
		       const struct rw_part *part)
{
	struct rw_nvme_command *command = rw_cmd_entry(sqe, self->uring.file, -1);

	if (part->opcode == RW_FLUSH)
		rw_nvme_fill_flush(command, self->nsid);
	else if (part->opcode == RW_DISCARD)
		fill_deallocate(self, command, part);
	else
		rw_nvme_fill_blocks(command, RW_NVME_WRITE_ZEROES, self->nsid,
				    part->offset >> self->block_shift,
				    part->length >> self->block_shift);
}

static inline void fill(struct rw_uring_queue *queue, struct io_uring_sqe *sqe,
			const struct rw_part *part)
{
	struct rw_cmd_queue *self = (struct rw_cmd_queue *)queue;

	if (rw_has_data(part->opcode))
		fill_transfer(self, sqe, part);
	else
		fill_other(self, sqe, part);
}

/* A namespace that several controllers shared answers EINVAL when the last of them lost it. */
static int kernel_error(const struct rw_uring_queue *self, int error)
{
	const struct rw_cmd_device *device = (const struct rw_cmd_device *)self->line.base.device;

	return error == -EINVAL && rw_nvmechar_id(device->fd) < 0 ? -ENODEV : error;
}

/* 0 is success whatever was moved; above it is the drive's status, below the kernel's errno. */
static inline void read_status(const struct rw_uring_queue *self, const struct io_uring_cqe *cqe,
			       struct rw_event *event)
{
	int error = 0;

	if (cqe->res)
		error = cqe->res > 0 ? rw_nvme_status_error((uint32_t)cqe->res) :
			kernel_error(self, cqe->res);
	event->status = cqe->res > 0 ? (uint32_t)cqe->res : 0;
	event->result = error ? error : (int64_t)self->line.base.parts[event->part].length;
}

static const struct rw_uring_kind commands = {
	.by_call = never,
	.fill = fill,
	.read = read_status,
};

static int cmd_submit(struct rw_queue *queue, struct rw_part *const *parts, uint32_t n,
		      uint32_t flags)
{
	return rw_uring_submit(queue, parts, n, flags, &commands);
}

static int cmd_reap(struct rw_queue *queue, struct rw_event *out, uint32_t min, uint32_t max,
		    int64_t deadline_ns)
{
	return rw_uring_reap(queue, out, min, max, deadline_ns, &commands);
}

const struct rw_path rw_io_uring_cmd_path = {
	.info = {
		.name = "io_uring_cmd",
		.summary = "NVMe commands over io_uring, past the block layer; for /dev/ngXnY",
	},
	.abi = RW_PATH_ABI,
	/* Not fixed: on kernels before 6.16 a short command in registered memory costs more. */
	.preferred = RW_URING_DEFER,
	.options = rw_uring_options,
	.device_size = sizeof(struct rw_cmd_device),
	.queue_size = sizeof(struct rw_cmd_queue),
	.probe = rw_cmd_probe,
	.open = rw_cmd_open,
	.close = rw_cmd_close,
	.queue_create = cmd_create,
	.queue_destroy = cmd_destroy,
	.submit = cmd_submit,
	.reap = cmd_reap,
	.event_fd = rw_uring_event_fd,
};
