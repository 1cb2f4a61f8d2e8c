/* What all paths over the kernel share: an open file or block device. */
#ifndef RW_PATHS_FILE_H
#define RW_PATHS_FILE_H

#include "core/device.h"
#include "core/target.h"
#include "os/blockdev.h"

struct rw_file {
	struct rw_device base;
	int fd;
	int claim;               /* keeps a block device that is written to ours alone; -1: none */
	struct rw_file_facts facts;
};

int rw_file_probe(const struct rw_target *target, const struct rw_open_request *request);
/* Opens and fills device->info; refuses a block device in use when it is to be written. */
int rw_file_open(struct rw_device *device, const struct rw_target *target,
		 const struct rw_open_request *request);
void rw_file_close(struct rw_device *device);

/* Flush, discard or write zeroes, by one system call, at once. */
int64_t rw_file_special(const struct rw_file *file, const struct rw_part *part);

#endif
