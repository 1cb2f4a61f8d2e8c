/*
 * The seam between the core and a path.
 *
 * A path is one `static const struct rw_path`, listed in registry.c. The core
 * checks, splits, retries, times and counts; a path moves one part at a time
 * and knows nothing of users, tokens or deadlines of operations.
 */
#ifndef RW_CORE_PATH_H
#define RW_CORE_PATH_H

#include "ringway.h"

#define RW_PATH_ABI 1

struct rw_device;
struct rw_queue;
struct rw_region;
struct rw_target;

/* One transfer as the device sees it: an operation, or a piece of a split one. */
struct rw_part {
	uint64_t offset;
	uintptr_t memory;
	uint32_t length;
	uint32_t index;          /* its place in queue->parts: the path's cookie */
	uint32_t op;             /* the operation it belongs to */
	int16_t region;          /* region the memory lies in, -1: foreign memory */
	uint8_t opcode;
	uint8_t retried;         /* resubmissions so far, saturating */
};

/* What became of a part: bytes moved or a negative errno, and the raw status. */
struct rw_event {
	uint32_t part;
	uint32_t status;
	int64_t result;
};

/* A reap that waits follows at once: the path may delay the hand-over until then. */
#define RW_SUBMIT_REAP_FOLLOWS 1u

struct rw_path {
	struct rw_path_info info;
	uint32_t abi;                           /* RW_PATH_ABI */
	uint32_t preferred;                     /* option bits the automatic choice asks for */
	const struct rw_option_info *options;   /* ended by a NULL name; NULL: none */
	size_t device_size, queue_size;         /* of the path's structs, base struct first */

	/* Can this machine serve this target so? rw_fail() says what to do about it. */
	int (*probe)(const struct rw_target *target, const struct rw_open_request *request);
	/* Fills device->info (what device.c does not); a failure leaves nothing behind. */
	int (*open)(struct rw_device *device, const struct rw_target *target,
		    const struct rw_open_request *request);
	/* Stops the device, then gives back what it has, mappings included. No queue is left. */
	void (*close)(struct rw_device *device);

	/* Optional pair: make a region reachable for the device, once, before its first use. */
	int (*map)(struct rw_device *device, const struct rw_region *region, uint32_t index);
	void (*unmap)(struct rw_device *device, const struct rw_region *region, uint32_t index);

	int (*queue_create)(struct rw_queue *queue);
	void (*queue_destroy)(struct rw_queue *queue);
	/* Parts accepted, in order: a full ring is a short count. */
	int (*submit)(struct rw_queue *queue, struct rw_part *const *parts, uint32_t n,
		      uint32_t flags);
	/*
	 * Events, at most `max`. With min 0 it only looks; else it may sleep until
	 * `min` are there, the deadline passes or a signal arrives (-EINTR).
	 */
	int (*reap)(struct rw_queue *queue, struct rw_event *out, uint32_t min, uint32_t max,
		    int64_t deadline_ns);
	/* Optional: from now on queue->event_fd, an eventfd, counts up when events may be there. */
	int (*event_fd)(struct rw_queue *queue);
	/* Optional: one part at once in the calling thread, without a queue. */
	int64_t (*transfer)(struct rw_device *device, const struct rw_part *part);
};

#endif
