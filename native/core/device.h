/* The device: base struct of every path's own, and what the core does with it. */
#ifndef RW_CORE_DEVICE_H
#define RW_CORE_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/path.h"

#define RW_MAX_DEPTH 4096u
/* What is copied by the CPU is copied in parts of this, so that signals are seen in between. */
#define RW_SYNC_PART (4u << 20)

struct rw_region;

struct rw_device {
	const struct rw_path *path;
	struct rw_device_info info;      /* filled by the path's open, then constant */
	uint64_t limit;                  /* no operation reaches beyond; size rounded up to a block */
	uint64_t serial;                 /* tells devices apart, also after one is freed */
	uint32_t fork_generation;
	_Atomic uint32_t references;     /* the handle, and each queue's */
	_Atomic uint32_t active;         /* calls inside rw_device_transfer, rw_batch_* */
	_Atomic bool closing;
	_Atomic bool in_close;           /* a thread is at it, which others wait for */
	bool closed;
	pthread_mutex_t lock;            /* guards queues and mapped */
	struct rw_queue *queues;
	_Atomic uint64_t mapped;         /* a bit per region this device knows */
	struct rw_device *next;
	char *target;
	char why[1024];
};

/* Every sync call runs between these: -EBADF once closing, -ECHILD after a fork. */
int rw_device_begin(struct rw_device *device);
void rw_device_end(struct rw_device *device);

void rw_device_get(struct rw_device *device);
void rw_device_put(struct rw_device *device);

/* Makes a region reachable for the device if it is not yet. */
int rw_device_map(struct rw_device *device, uint32_t region);
/* A region is going away: every device forgets it. */
void rw_devices_unmap(uint32_t region);

/* A thread is ending: its queues on all devices go. */
void rw_devices_thread_ends(uint64_t thread);

/* The calling thread's own queue, of at least that depth, made at first use. */
int rw_device_thread_queue(struct rw_device *device, uint32_t depth, struct rw_queue **out);

/* Says why an operation is refused; never returns 0. */
int rw_device_refusal(const struct rw_device *device, const struct rw_op *op);

static inline bool rw_has_data(uint32_t opcode)
{
	return opcode <= RW_WRITE;
}

static inline uint32_t rw_alignment_of(const struct rw_device_info *info, uint32_t opcode)
{
	return rw_has_data(opcode) ? info->block_size : info->discard_alignment;
}

/* The longest part of an operation. */
static inline uint32_t rw_longest_of(const struct rw_device_info *info, uint32_t opcode)
{
	if (rw_has_data(opcode))
		return info->max_transfer;
	return opcode == RW_DISCARD ? info->max_discard : info->max_zeroes;
}

/* Is this an operation the device can be given? 0, or a negative errno with the reason. */
static inline int rw_device_check(const struct rw_device *device, const struct rw_op *op)
{
	const struct rw_device_info *info = &device->info;

	if (op->opcode <= RW_WRITE_ZEROES && (info->opcodes >> op->opcode & 1) && !op->flags &&
	    (info->writable || op->opcode == RW_READ || op->opcode == RW_FLUSH)) {
		if (op->opcode == RW_FLUSH)
			return 0;
		if (op->length && !((op->offset | op->length) & (rw_alignment_of(info, op->opcode) - 1)) &&
		    op->length <= device->limit && op->offset <= device->limit - op->length &&
		    (!rw_has_data(op->opcode) ||
		     (op->memory && !(op->memory & (info->memory_alignment - 1)))))
			return 0;
	}
	return rw_device_refusal(device, op);
}

#endif
