/*
 * What a verifying run that writes knows about each block of a thread's part:
 * how often it has been written, and whether an operation is on its way to it.
 * No block ever has two operations in flight, so what a read must find is
 * certain.
 *
 * Reads go to the block that the access pattern names when this run has written
 * it, and otherwise to another block that it has written; while there is none,
 * a read becomes a write. So the first operations of a mixed run are writes.
 *
 * Eight bytes are needed for every block that gets written.
 */
#ifndef RW_WORKLOAD_VERIFY_H
#define RW_WORKLOAD_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/random.h"

struct rw_verify_slot {
	uint32_t block;
	uint32_t generation;     /* what a read must find, or a write leaves */
	bool reads;
};

struct rw_verify {
	uint32_t *generations;   /* per block; the top bit says in flight */
	uint32_t *written;       /* blocks in the order of their first write */
	struct rw_verify_slot *slots; /* the operations in flight */
	uint32_t blocks, written_count, depth;
};

/* A part has at least `depth` blocks. -ENOMEM. */
int rw_verify_init(struct rw_verify *verify, uint32_t blocks, uint32_t depth);
void rw_verify_deinit(struct rw_verify *verify);

/*
 * Settles what slot `slot` does, given the block and direction that the
 * workload asks for. The block is in flight until rw_verify_end().
 */
const struct rw_verify_slot *rw_verify_begin(struct rw_verify *verify, uint32_t slot,
					     uint64_t block, bool reads, struct rw_random *random);
/* The operation of `slot` succeeded. */
const struct rw_verify_slot *rw_verify_end(struct rw_verify *verify, uint32_t slot);

#endif
