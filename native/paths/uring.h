/* The io_uring path: its queue, and how its rings are set up. */
#ifndef RW_PATHS_URING_H
#define RW_PATHS_URING_H

#include <liburing.h>

#include "core/region.h"
#include "paths/file.h"
#include "paths/inline.h"

enum rw_uring_option {
	RW_URING_FIXED = 1 << 0,  /* registered buffers and file */
	RW_URING_SQPOLL = 1 << 1, /* a kernel thread submits */
	RW_URING_IOPOLL = 1 << 2, /* completions are polled for, no interrupts */
	RW_URING_DEFER = 1 << 3,  /* single issuer, deferred task run */
};

extern const struct rw_option_info rw_uring_options[];

struct rw_uring_queue {
	struct rw_inline_queue line;     /* discard and write zeroes; with IOPOLL also flush */
	struct io_uring ring;
	uint32_t options;
	uint32_t pending;                /* filled, not yet shown to the kernel */
	uint32_t in_kernel;
	int file;                        /* descriptor, or 0: the registered one */
	uint32_t serials[RW_MAX_REGIONS]; /* of the region registered in each slot */
	uint64_t refused;                /* regions the kernel would not register */
	uint32_t removals;               /* rw_region_removals when the table was last tidied */
};

/* Can a ring with these options serve this file? 0, or why not. */
int rw_uring_check_options(uint32_t options, const struct rw_open_request *request,
			   const struct rw_file_facts *facts);
/* A ring for `entries` requests. */
int rw_uring_ring_init(struct io_uring *ring, uint32_t entries, uint32_t options);
void rw_uring_ring_exit(struct io_uring *ring, uint32_t options);
/* Registers file and buffer table of a ring with RW_URING_FIXED. */
int rw_uring_register(struct io_uring *ring, int fd);
/* Registers and forgets a region's worth of memory: is there enough that may be locked? */
int rw_uring_try_memory(struct io_uring *ring);
/* Lets go of regions that are gone: a registration keeps their pages. */
void rw_uring_tidy(struct rw_uring_queue *queue);
/* The slot `region` is registered in, -1 when the kernel refused it. */
int rw_uring_fixed_slot(struct rw_uring_queue *queue, int region);

#endif
