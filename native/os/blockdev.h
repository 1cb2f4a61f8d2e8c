/* What the kernel says about an open file or block device, and who else uses it. */
#ifndef RW_OS_BLOCKDEV_H
#define RW_OS_BLOCKDEV_H

#include <stdbool.h>
#include <stdint.h>

struct rw_file_facts {
	bool block;                /* a block device; otherwise a regular file */
	bool read_only;            /* the device, or the mount the file is on, refuses writes */
	uint64_t size;             /* bytes */
	uint32_t block_size;       /* offsets and lengths are multiples of it; 1 when buffered */
	uint32_t memory_alignment; /* memory addresses are multiples of it; 1 when buffered */
	uint32_t device_block;     /* what discard and write-zeroes need, buffered too; 1: a file */
	uint32_t max_transfer;     /* bytes one command moves without being split below us */
	uint32_t queue_depth;      /* requests before submission blocks; 0: no such limit known */
	bool discards;             /* discard may be tried */
	bool write_zeroes;         /* zeroing is offloaded, not written out as zeroes */
	bool polls;                /* IOPOLL works: O_DIRECT over a disk with poll queues */
	bool whole_pages;          /* zram: memory inside a page gives wrong data, not an error */
	bool nowait;               /* RWF_NOWAIT works; without it io_uring punts every request */
};

/*
 * Facts about an open descriptor; `direct` says it was opened with O_DIRECT.
 * What is neither a regular file nor a block device is refused: -EISDIR,
 * -EINVAL. -ENOMEDIUM for a block device with nothing in it, -EOPNOTSUPP for a
 * file whose file system would quietly do buffered I/O instead of direct.
 */
int rw_file_facts(int fd, bool direct, struct rw_file_facts *out);

/* The part of it that sysfs tells about a block device or the device under a file. */
void rw_queue_facts(unsigned int major, unsigned int minor, const char *sys_root,
		    struct rw_file_facts *out);

/* One number from /sys/…/queue of a disk or of the disk of a partition; false: not told. */
bool rw_queue_number(unsigned int major, unsigned int minor, const char *sys_root,
		     const char *name, uint64_t *out);

/*
 * 0 when nobody uses the block device, -EBUSY with a sentence naming the user:
 * a mount, swap or a holder (device mapper, RAID) on the device, on one of its
 * partitions, or on the disk it is a partition of. Anything but a block device
 * is 0. What cannot be found out counts as in use. The descriptor must not be
 * one opened with O_EXCL: it would be found to be its own user.
 */
int rw_block_in_use(int fd, const char *proc_root, const char *sys_root);

/* The same from what /proc and /sys say alone, without asking for the device itself. */
int rw_block_number_in_use(unsigned int major, unsigned int minor, const char *proc_root,
		       const char *sys_root);

/*
 * Holds an open block device that nobody uses exclusively, so that no mount
 * comes while it is written to: a descriptor to close in the end, or why not.
 * It is one of its own: a ring that is torn down keeps the descriptor for I/O
 * open a little longer than us, even past the end of the process.
 */
int rw_block_claim(int fd);

#endif
