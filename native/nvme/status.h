/*
 * The status of a completion: names, errno and a sentence. Base 3.3.3.2.1.
 *
 * A status here is the status field of the completion queue entry without its
 * phase tag, as the kernel hands it on: bits 0-7 the status code (SC), 8-10
 * its type (SCT), 11-12 the retry delay (CRD), 13 More, 14 Do Not Retry.
 */
#ifndef RW_NVME_STATUS_H
#define RW_NVME_STATUS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	RW_NVME_CODE = 0x7ff,         /* type and code: what the status is */
	RW_NVME_DO_NOT_RETRY = 1 << 14,
};

/* The specification's name for it, "LBA Out of Range"; of others what type it is of. */
const char *rw_nvme_status_name(uint32_t status);
/* What it means for whoever asked, and what to do; "" where the name says it all. */
const char *rw_nvme_status_sentence(uint32_t status);
/*
 * The negative errno of a status, 0 for success. -EAGAIN where the drive says
 * that the same command will do later.
 */
int rw_nvme_status_error(uint32_t status);

#endif
