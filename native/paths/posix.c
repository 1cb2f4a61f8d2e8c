/*
 * posix: pread(2) and pwrite(2), one at a time in the calling thread. The
 * kernel does not let such a call be interrupted: deadlines are looked at
 * between operations.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "paths/file.h"
#include "paths/inline.h"

static int64_t posix_transfer(struct rw_device *device, const struct rw_part *part)
{
	const struct rw_file *file = (const struct rw_file *)device;
	ssize_t n;

	switch (part->opcode) {
	case RW_READ:
		n = pread(file->fd, (void *)part->memory, part->length, (off_t)part->offset);
		break;
	case RW_WRITE:
		n = pwrite(file->fd, (const void *)part->memory, part->length, (off_t)part->offset);
		break;
	default:
		return rw_file_special(file, part);
	}
	return n < 0 ? -errno : n;
}

const struct rw_path rw_posix_path = {
	.info = {
		.name = "posix",
		.summary = "pread and pwrite, one at a time in the calling thread",
	},
	.abi = RW_PATH_ABI,
	.device_size = sizeof(struct rw_file),
	.queue_size = sizeof(struct rw_inline_queue),
	.probe = rw_file_probe,
	.open = rw_file_open,
	.close = rw_file_close,
	.queue_create = rw_inline_create,
	.queue_destroy = rw_inline_destroy,
	.submit = rw_inline_submit,
	.reap = rw_inline_reap_slow,
	.transfer = posix_transfer,
};
