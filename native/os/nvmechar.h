/* NVMe generic character devices, /dev/ngXnY: what sysfs and the driver say of them. */
#ifndef RW_OS_NVMECHAR_H
#define RW_OS_NVMECHAR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "nvme/command.h"

/* A namespace's character device and the block device beside it. */
struct rw_nvmechar {
	char name[32];             /* "ng0n1" */
	char block_name[32];       /* "nvme0n1" */
	dev_t block;               /* 0: the kernel has no block device for this namespace */
	bool zoned;
	bool read_only;
	bool polls;                /* the driver has poll queues */
	uint32_t memory_alignment; /* of data, bytes */
	uint32_t max_transfer;     /* what the kernel maps for one command, bytes */
	uint32_t max_segments;     /* in as many pieces of memory */
};

/* Is this the number of such a device? Then *out, as far as sysfs tells. */
bool rw_nvmechar_find(dev_t device, const char *sys_root, struct rw_nvmechar *out);
/*
 * Such a device, named to a path that wants a file or block device:
 * -EMEDIUMTYPE, at which the core asks the path that serves it. Else 0.
 */
int rw_nvmechar_refuse(dev_t device, const char *sys_root);
/*
 * The name of the character device ("ng0n1") of the namespace that this block
 * device is, or is a partition of; false where there is none.
 */
bool rw_nvmechar_beside(dev_t block, const char *sys_root, char *name, size_t size);

/*
 * 0 when the namespace may be written to: then *claim holds its block device
 * exclusively. -EBUSY when a mount, swap or holder uses it or a partition of
 * it, or when that cannot be found out.
 */
int rw_nvmechar_claim(const struct rw_nvmechar *device, int *claim);

/* The namespace id of an open device. */
int rw_nvmechar_id(int fd);
/*
 * An Identify structure of 4096 bytes: 0, a positive NVMe status, or -EACCES
 * and the like. `nsid` and `csi` where the structure has them.
 */
int rw_nvmechar_identify(int fd, uint32_t nsid, uint8_t cns, uint8_t csi, void *out);

#endif
