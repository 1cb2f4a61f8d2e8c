/* Facts about open files and block devices: sizes, alignment, limits, abilities. */
#define _GNU_SOURCE
#include "os/blockdev.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "core/error.h"
#include "os/nvmechar.h"

/*
 * A file has no command size of its own: the file system maps it to extents
 * and cuts requests at the device's limits itself. The only limit is the
 * kernel's, just below 2 GiB per call; 1 GiB stays under it and is a multiple
 * of every block size.
 */
#define FILE_MAX_TRANSFER (1u << 30)

/* Where sysfs does not tell: what every disk driver has been able to do. */
#define DEFAULT_MAX_TRANSFER (128u << 10)

/*
 * Direct I/O on a file system without one device below it (network, several
 * devices): no such file system asks for more than this.
 */
#define DEFAULT_BLOCK_SIZE 4096u

/* A partition has no queue of its own: its disk is one level up in sysfs. */
bool rw_queue_number(unsigned int major, unsigned int minor, const char *sys_root,
		     const char *name, uint64_t *out)
{
	static const char *const levels[] = { "", "/.." };
	unsigned long long value;
	char path[512];
	bool found = false;

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]) && !found; i++) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/dev/block/%u:%u%s/queue/%s", sys_root, major,
			 minor, levels[i], name);
		file = fopen(path, "re");
		if (!file)
			continue;
		found = fscanf(file, "%llu", &value) == 1;
		fclose(file);
	}
	if (found)
		*out = value;
	return found;
}

static uint64_t queue_number_or(unsigned int major, unsigned int minor, const char *sys_root,
				const char *name, uint64_t otherwise)
{
	uint64_t value = otherwise;

	rw_queue_number(major, minor, sys_root, name, &value);
	return value;
}

/* The longest command in bytes, whole blocks, at most what a file may have. */
static uint32_t transfer_limit(uint64_t sectors_kb, uint32_t block)
{
	uint64_t bytes = sectors_kb > FILE_MAX_TRANSFER >> 10 ? FILE_MAX_TRANSFER
							      : sectors_kb << 10;

	bytes -= bytes % block;
	return bytes ? (uint32_t)bytes : block;
}

/*
 * zram copies from and to the start of a page wherever in it the memory lies
 * (seen on 6.18), and tells the default alignment of 512. Only zram has this file.
 */
static bool moves_whole_pages(unsigned int major, unsigned int minor, const char *sys_root)
{
	uint64_t size;

	return rw_queue_number(major, minor, sys_root, "../disksize", &size);
}

void rw_queue_facts(unsigned int major, unsigned int minor, const char *sys_root,
		    struct rw_file_facts *out)
{
	uint64_t block, memory, depth, limit_kb, discard, zeroes, poll;

	block = queue_number_or(major, minor, sys_root, "logical_block_size", DEFAULT_BLOCK_SIZE);
	/* Kernels before 6.1 do not tell, and want memory aligned like offsets. */
	memory = queue_number_or(major, minor, sys_root, "dma_alignment", block - 1) + 1;
	out->whole_pages = moves_whole_pages(major, minor, sys_root);
	if (out->whole_pages && memory < block)
		memory = block;
	depth = queue_number_or(major, minor, sys_root, "nr_requests", 0);
	limit_kb = queue_number_or(major, minor, sys_root, "max_sectors_kb",
				   DEFAULT_MAX_TRANSFER >> 10);
	discard = queue_number_or(major, minor, sys_root, "discard_max_bytes", 0);
	zeroes = queue_number_or(major, minor, sys_root, "write_zeroes_max_bytes", 0);
	poll = queue_number_or(major, minor, sys_root, "io_poll", 0);
	out->block_size = (uint32_t)block;
	out->device_block = (uint32_t)block;
	out->memory_alignment = (uint32_t)memory;
	out->queue_depth = (uint32_t)depth;
	out->max_transfer = transfer_limit(limit_kb, out->block_size);
	out->discards = discard > 0;
	out->write_zeroes = zeroes > 0;
	out->polls = poll > 0;
}

/*
 * The kernel looks at RWF_NOWAIT before it looks at the offset, so a read past
 * the end asks without any I/O.
 */
static bool honours_nowait(int fd, uint64_t size)
{
	char byte;
	struct iovec vector = { &byte, 1 };
	ssize_t got = preadv2(fd, &vector, 1, (off_t)size, RWF_NOWAIT);

	return got >= 0 || errno == EAGAIN || errno == EINVAL;
}

/*
 * What direct I/O needs, as the file system itself tells since Linux 6.1.
 * Returns 1 when it answered, 0 when it did not.
 */
static int ask_alignment(int fd, struct rw_file_facts *out)
{
#ifdef STATX_DIOALIGN
	struct statx answer;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &answer) ||
	    !(answer.stx_mask & STATX_DIOALIGN))
		return 0;
	if (!answer.stx_dio_offset_align)
		return rw_fail(EOPNOTSUPP, "this file cannot do direct I/O (an encrypted, "
			       "compressed or data-journalled file): open it buffered");
	out->block_size = answer.stx_dio_offset_align;
	if (!out->whole_pages)
		out->memory_alignment = answer.stx_dio_mem_align;
	return 1;
#else
	(void)fd;
	(void)out;
	return 0;
#endif
}

/* Sets block size and memory alignment; expects the device's in *out already. */
static int settle_alignment(int fd, bool direct, struct rw_file_facts *out)
{
	int ret;

	if (direct) {
		ret = ask_alignment(fd, out);
		return ret < 0 ? ret : 0;
	}
	out->block_size = 1;
	out->memory_alignment = 1;
	out->polls = false; /* polling is a matter of O_DIRECT */
	return 0;
}

/*
 * File systems that are known to lack one of the two. Any other may be tried:
 * asking by trying could change the file's times, and one that cannot answers
 * -EOPNOTSUPP.
 */
static void file_abilities(int fd, struct rw_file_facts *out)
{
	static const struct {
		long magic;
		bool discards;
	} lacking[] = {
		{ TMPFS_MAGIC, true },
		{ RAMFS_MAGIC, false },
		{ MSDOS_SUPER_MAGIC, false },
		{ V9FS_MAGIC, false },
	};
	struct statfs fs;

	out->discards = true;
	out->write_zeroes = true;
	if (fstatfs(fd, &fs))
		return;
	for (size_t i = 0; i < sizeof(lacking) / sizeof(lacking[0]); i++) {
		if ((long)fs.f_type != lacking[i].magic)
			continue;
		out->discards = lacking[i].discards;
		out->write_zeroes = false;
	}
}

static int regular_facts(int fd, bool direct, const struct stat *st, struct rw_file_facts *out)
{
	struct statvfs fs;

	rw_queue_facts(major(st->st_dev), minor(st->st_dev), "/sys", out);
	file_abilities(fd, out);
	out->size = (uint64_t)st->st_size;
	out->read_only = !fstatvfs(fd, &fs) && (fs.f_flag & ST_RDONLY);
	out->max_transfer = FILE_MAX_TRANSFER;
	out->device_block = 1;
	return settle_alignment(fd, direct, out);
}

static int block_facts(int fd, bool direct, const struct stat *st, struct rw_file_facts *out)
{
	uint64_t size;
	int block, read_only;

	if (ioctl(fd, BLKGETSIZE64, &size) || ioctl(fd, BLKSSZGET, &block) ||
	    ioctl(fd, BLKROGET, &read_only)) {
		int code = errno;

		return rw_fail(code, "the block device does not tell its size: %s; is it still "
			       "there? see the kernel log", strerror(code));
	}
	if (!size)
		return rw_fail(ENOMEDIUM, "the block device has size 0: attach what it should hold "
			       "(losetup for a loop device, disksize for zram, a medium)");
	rw_queue_facts(major(st->st_rdev), minor(st->st_rdev), "/sys", out);
	out->block = true;
	out->size = size;
	out->read_only = read_only != 0;
	out->block_size = (uint32_t)block;
	out->device_block = (uint32_t)block;
	return settle_alignment(fd, direct, out);
}

static int refuse_kind(const struct stat *st)
{
	const char *kind;
	int refusal;

	switch (st->st_mode & S_IFMT) {
	case S_IFDIR:
		return rw_fail(EISDIR, "the target is a directory: name a file in it, or a block "
			       "device");
	case S_IFIFO:
		kind = "a pipe";
		break;
	case S_IFSOCK:
		kind = "a socket";
		break;
	case S_IFCHR:
		refusal = rw_nvmechar_refuse(st->st_rdev, "/sys");
		if (refusal)
			return refusal;
		kind = "a character device";
		break;
	default:
		kind = "no file";
		break;
	}
	return rw_fail(EINVAL, "the target is %s, which has no blocks: name a regular file or a "
		       "block device", kind);
}

int rw_file_facts(int fd, bool direct, struct rw_file_facts *out)
{
	struct rw_file_facts facts = { 0 };
	struct stat st;
	int ret;

	if (fstat(fd, &st)) {
		int code = errno;

		return rw_fail(code, "the target cannot be examined: %s", strerror(code));
	}
	if (S_ISBLK(st.st_mode))
		ret = block_facts(fd, direct, &st, &facts);
	else if (S_ISREG(st.st_mode))
		ret = regular_facts(fd, direct, &st, &facts);
	else
		ret = refuse_kind(&st);
	if (ret)
		return ret;
	facts.nowait = honours_nowait(fd, facts.size);
	*out = facts;
	return 0;
}
