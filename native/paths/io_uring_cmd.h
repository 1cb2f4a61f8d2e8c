/* The io_uring_cmd path: its device and queue, and an entry that holds an NVMe command. */
#ifndef RW_PATHS_IO_URING_CMD_H
#define RW_PATHS_IO_URING_CMD_H

#include <linux/ioctl.h>
#include <stddef.h>
#include <string.h>

#include "core/device.h"
#include "core/target.h"
#include "nvme/command.h"
#include "paths/uring.h"

struct rw_cmd_device {
	struct rw_device base;
	int fd;
	int claim;               /* keeps the block device that is written to ours alone; -1: none */
	uint32_t nsid;
	uint32_t block_shift;
	uint32_t window_shift;   /* with option fixed: how regions are registered */
};

struct rw_cmd_queue {
	struct rw_uring_queue uring;
	uint32_t nsid;
	uint32_t block_shift;
	struct rw_nvme_range *ranges;    /* one for each part: the data of a deallocate */
};

/* What the kernel takes: a command, then a timeout; linux/nvme_ioctl.h since Linux 5.19. */
struct rw_cmd_request {
	struct rw_nvme_command command;
	uint32_t timeout_ms;             /* 0: the driver's own, 30 s as a rule */
	uint32_t reserved;
};

#define RW_NVME_URING_CMD_IO _IOWR('N', 0x80, struct rw_cmd_request)

/* An entry of double size, all zeroes, for a command; `slot` has its memory registered, -1: none. */
static inline struct rw_nvme_command *rw_cmd_entry(struct io_uring_sqe *sqe, int file, int slot)
{
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = file;
	sqe->cmd_op = RW_NVME_URING_CMD_IO;
	if (slot >= 0) {
		sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
		sqe->buf_index = (uint16_t)slot;
	}
	return (struct rw_nvme_command *)((char *)sqe + offsetof(struct io_uring_sqe, cmd));
}

/* io_uring_cmd_open.c */
int rw_cmd_probe(const struct rw_target *target, const struct rw_open_request *request);
int rw_cmd_open(struct rw_device *device, const struct rw_target *target,
		const struct rw_open_request *request);
void rw_cmd_close(struct rw_device *device);

/* io_uring_cmd_try.c: reads one block, to learn what the kernel and its driver let us do. */
int rw_cmd_try(struct rw_cmd_device *device, uint32_t options, uint32_t max_segments);

#endif
