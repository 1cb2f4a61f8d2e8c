/* Generations of blocks, and which of them an operation may touch now. */
#include "workload/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"

#define IN_FLIGHT (UINT32_C(1) << 31)
#define GENERATION_MASK (IN_FLIGHT - 1)

int rw_verify_init(struct rw_verify *verify, uint32_t blocks, uint32_t depth)
{
	/* calloc() of much memory touches none of it, so this costs what is used. */
	verify->generations = calloc(blocks, sizeof(*verify->generations));
	verify->written = calloc(blocks, sizeof(*verify->written));
	verify->slots = calloc(depth, sizeof(*verify->slots));
	verify->blocks = blocks;
	verify->written_count = 0;
	verify->depth = depth;
	if (verify->generations && verify->written && verify->slots)
		return 0;
	rw_verify_deinit(verify);
	return rw_fail(ENOMEM, "no memory to track %u blocks for verify: give a smaller span or a "
		       "larger bs", blocks);
}

void rw_verify_deinit(struct rw_verify *verify)
{
	free(verify->generations);
	free(verify->written);
	free(verify->slots);
	memset(verify, 0, sizeof(*verify));
}

static bool is_free(const struct rw_verify *verify, uint32_t block)
{
	return !(verify->generations[block] & IN_FLIGHT);
}

/* Fewer than `depth` blocks are in flight, so this ends within `depth` steps. */
static uint32_t next_free(const struct rw_verify *verify, uint32_t block)
{
	while (!is_free(verify, block))
		block = block + 1 == verify->blocks ? 0 : block + 1;
	return block;
}

/* A written block with nothing in flight: `block`, or any other; false when there is none. */
static bool find_written(const struct rw_verify *verify, uint32_t *block, struct rw_random *random)
{
	uint32_t tries = verify->written_count < verify->depth ? verify->written_count :
			 verify->depth;
	uint32_t at;

	if (verify->generations[*block] && is_free(verify, *block))
		return true;
	if (!tries)
		return false;
	at = (uint32_t)rw_random_below(random, verify->written_count);
	while (tries--) {
		*block = verify->written[at];
		if (is_free(verify, *block))
			return true;
		at = at + 1 == verify->written_count ? 0 : at + 1;
	}
	return false;
}

/* Generations go round from 2^31 - 1 to 1: 0 is a block never written. */
static uint32_t generation_after(uint32_t generation)
{
	return generation == GENERATION_MASK ? 1 : generation + 1;
}

const struct rw_verify_slot *rw_verify_begin(struct rw_verify *verify, uint32_t slot,
					     uint64_t block, bool reads, struct rw_random *random)
{
	struct rw_verify_slot *out = &verify->slots[slot];

	out->block = (uint32_t)block;
	out->reads = reads && find_written(verify, &out->block, random);
	if (!out->reads)
		out->block = next_free(verify, (uint32_t)block);
	out->generation = verify->generations[out->block];
	if (!out->reads)
		out->generation = generation_after(out->generation);
	verify->generations[out->block] |= IN_FLIGHT;
	return out;
}

const struct rw_verify_slot *rw_verify_end(struct rw_verify *verify, uint32_t slot)
{
	const struct rw_verify_slot *done = &verify->slots[slot];

	if (!(verify->generations[done->block] & GENERATION_MASK))
		verify->written[verify->written_count++] = done->block;
	verify->generations[done->block] = done->generation;
	return done;
}
