/* Files and block devices: opening them safely, and what is not read or write. */
#define _GNU_SOURCE
#include "paths/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/error.h"
#include "os/nvmechar.h"

/* ---------------------------------------------------------------- opening */

static int refuse_open(int error, const struct rw_target *target,
		       const struct rw_open_request *request)
{
	const char *name = target->text;

	switch (error) {
	case ENOENT:
		return rw_fail(error, "%s does not exist", name);
	case EISDIR:
		return rw_fail(error, "%s is a directory; name a file or a block device", name);
	case EACCES:
	case EPERM:
		return rw_fail(EACCES, "no permission to %s %s; run as its owner, or join the group "
				       "that may", request->writable ? "write to" : "read", name);
	case EROFS:
		return rw_fail(error, "%s is on a read-only file system", name);
	case EINVAL:
		if (request->direct)
			return rw_fail(EOPNOTSUPP, "the file system of %s has no O_DIRECT; open it with "
						   "direct=False (--buffered)", name);
		break;
	case EBUSY:
		return rw_fail(error, "%s is in use by the kernel; unmount or release it before writing",
			       name);
	case ENXIO:
	case ENODEV:
		return rw_fail(error, "the device behind %s is gone, or it is a pipe or socket", name);
	default:
		break;
	}
	return rw_fail(error, "cannot open %s: %s", name, strerror(error));
}

/* Who uses a block device, or what it is, is a better reason than the error its open gave. */
static int refuse_device(int error, const struct rw_target *target,
			 const struct rw_open_request *request)
{
	struct stat status;
	int better = 0;

	if (stat(target->rest, &status))
		return refuse_open(error, target, request);
	if (S_ISCHR(status.st_mode))
		better = rw_nvmechar_refuse(status.st_rdev, "/sys");
	else if (S_ISBLK(status.st_mode) && request->writable)
		better = rw_block_number_in_use(major(status.st_rdev), minor(status.st_rdev),
						"/proc", "/sys");
	return better ? better : refuse_open(error, target, request);
}

static int open_flags(const struct rw_open_request *request)
{
	return (request->writable ? O_RDWR : O_RDONLY) | (request->direct ? O_DIRECT : 0) |
	       O_CLOEXEC | O_NOCTTY;
}

/* Of a file or block device EINVAL means that there is no O_DIRECT; others answer it too. */
static int set_flags(int fd, const struct rw_target *target, const struct rw_open_request *request)
{
	struct rw_file_facts facts;
	struct stat status;

	if (fstat(fd, &status))
		return refuse_open(errno, target, request);
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		return rw_file_facts(fd, false, &facts);
	/* An access time per read costs time itself; only the owner may do without. */
	if (!fcntl(fd, F_SETFL, open_flags(request) | O_NOATIME))
		return 0;
	return fcntl(fd, F_SETFL, open_flags(request)) < 0 ? refuse_open(errno, target, request) : 0;
}

/*
 * O_NONBLOCK keeps the open of a pipe from waiting for its other end; on a file
 * it must not stay, or io_uring answers EAGAIN instead of waiting.
 */
static int open_any(const struct rw_target *target, const struct rw_open_request *request)
{
	int fd = open(target->rest, (open_flags(request) & ~O_DIRECT) | O_NONBLOCK);
	int error;

	if (fd < 0)
		return refuse_device(errno, target, request);
	error = set_flags(fd, target, request);
	if (error)
		close(fd);
	return error ? error : fd;
}

static int examine(struct rw_file *file, const struct rw_target *target,
		   const struct rw_open_request *request)
{
	int error = rw_file_facts(file->fd, request->direct, &file->facts);

	if (error)
		return error;
	if (!request->writable)
		return 0;
	if (file->facts.read_only)
		return rw_fail(EROFS, "%s is read-only", target->text);
	if (!file->facts.block)
		return 0;
	file->claim = rw_block_claim(file->fd);
	return file->claim < 0 ? file->claim : 0;
}

static int open_file(struct rw_file *file, const struct rw_target *target,
		     const struct rw_open_request *request)
{
	int error;

	file->claim = -1;
	file->fd = open_any(target, request);
	if (file->fd < 0)
		return file->fd;
	error = examine(file, target, request);
	if (error)
		close(file->fd);
	return error;
}

static void close_file(const struct rw_file *file)
{
	close(file->fd);
	if (file->claim >= 0)
		close(file->claim);
}

int rw_file_probe(const struct rw_target *target, const struct rw_open_request *request)
{
	struct rw_file file;
	int error = open_file(&file, target, request);

	if (!error)
		close_file(&file);
	return error;
}

int rw_file_open(struct rw_device *device, const struct rw_target *target,
		 const struct rw_open_request *request)
{
	struct rw_file *file = (struct rw_file *)device;
	struct rw_device_info *info = &device->info;
	int error = open_file(file, target, request);

	if (error)
		return error;
	info->size = file->facts.size;
	info->block_size = file->facts.block_size;
	info->memory_alignment = file->facts.memory_alignment;
	info->discard_alignment = file->facts.device_block > info->block_size ?
				  file->facts.device_block : info->block_size;
	info->max_transfer = file->facts.max_transfer < RW_SYNC_PART ?
			     file->facts.max_transfer : RW_SYNC_PART;
	info->max_depth = RW_MAX_DEPTH;
	info->opcodes = 1u << RW_READ | 1u << RW_WRITE | 1u << RW_FLUSH | 1u << RW_WRITE_ZEROES |
			(file->facts.discards ? 1u << RW_DISCARD : 0);
	info->writable = request->writable;
	info->direct = request->direct;
	return 0;
}

void rw_file_close(struct rw_device *device)
{
	close_file((const struct rw_file *)device);
}

/* ------------------------------------------------- flush, discard, zeroes */

static int on_block_device(const struct rw_file *file, const struct rw_part *part)
{
	uint64_t range[2] = { part->offset, part->length };

	return ioctl(file->fd, part->opcode == RW_DISCARD ? BLKDISCARD : BLKZEROOUT, range);
}

/* tmpfs knows only holes, which read as zeroes too. */
static int on_file(const struct rw_file *file, const struct rw_part *part)
{
	off_t offset = (off_t)part->offset, length = (off_t)part->length;
	int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (part->opcode == RW_WRITE_ZEROES &&
	    !fallocate(file->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length))
		return 0;
	if (part->opcode == RW_WRITE_ZEROES && errno != EOPNOTSUPP)
		return -1;
	return fallocate(file->fd, hole, offset, length);
}

int64_t rw_file_special(const struct rw_file *file, const struct rw_part *part)
{
	int failed;

	if (part->opcode == RW_FLUSH)
		failed = fdatasync(file->fd);
	else if (file->facts.block)
		failed = on_block_device(file, part);
	else
		failed = on_file(file, part);
	return failed ? -errno : (int64_t)part->length;
}
