/* Which block an operation of a verifying run gets, and what it must find there. */
#include "workload/verify.h"

#include <string.h>

#include "tests/check.h"

enum { BLOCKS = 16, DEPTH = 4 };

static struct rw_verify verify;
static struct rw_random rng;

static void set_up(void)
{
	CHECK_EQ(rw_verify_init(&verify, BLOCKS, DEPTH), 0);
	rw_random_init(&rng, 1, 0);
}

static struct rw_verify_slot begin(uint32_t slot, uint64_t block, bool reads)
{
	return *rw_verify_begin(&verify, slot, block, reads, &rng);
}

static void put(uint64_t block)
{
	begin(0, block, false);
	rw_verify_end(&verify, 0);
}

static void writes_count_generations(void)
{
	set_up();
	for (uint32_t generation = 1; generation < 5; generation++) {
		struct rw_verify_slot write = begin(2, 7, false);

		CHECK(!write.reads);
		CHECK_EQ(write.block, 7);
		CHECK_EQ(write.generation, generation);
		rw_verify_end(&verify, 2);
	}
	CHECK_EQ(begin(0, 7, true).generation, 4);
	CHECK_EQ(rw_verify_end(&verify, 0)->generation, 4);
	CHECK_EQ(begin(0, 7, true).generation, 4);
	CHECK_EQ(verify.written_count, 1);
	rw_verify_deinit(&verify);
}

static void first_reads_become_writes(void)
{
	struct rw_verify_slot first;

	set_up();
	first = begin(0, 3, true);
	CHECK(!first.reads);
	CHECK_EQ(first.block, 3);
	/* Written, but only just: its completion has not come. */
	CHECK(!begin(1, 3, true).reads);
	rw_verify_deinit(&verify);
}

static void reads_of_unwritten_go_to_written(void)
{
	set_up();
	put(5);
	put(9);
	for (int i = 0; i < 50; i++) {
		struct rw_verify_slot read = begin(0, 3, true);

		CHECK(read.reads);
		CHECK(read.block == 5 || read.block == 9);
		rw_verify_end(&verify, 0);
	}
	rw_verify_deinit(&verify);
}

static void no_block_is_in_flight_twice(void)
{
	bool taken[BLOCKS];

	set_up();
	for (uint32_t block = 0; block < BLOCKS; block++)
		put(block);
	for (int round = 0; round < 200; round++) {
		memset(taken, 0, sizeof(taken));
		for (uint32_t slot = 0; slot < DEPTH; slot++) {
			struct rw_verify_slot op = begin(slot, BLOCKS - 1, (round + slot) % 3);

			CHECK(!taken[op.block]);
			taken[op.block] = true;
		}
		for (uint32_t slot = 0; slot < DEPTH; slot++)
			rw_verify_end(&verify, slot);
	}
	rw_verify_deinit(&verify);
}

/* As many blocks as operations in flight: each finds one all the same. */
static void smallest_part(void)
{
	CHECK_EQ(rw_verify_init(&verify, DEPTH, DEPTH), 0);
	rw_random_init(&rng, 1, 0);
	for (int round = 0; round < 100; round++) {
		for (uint32_t slot = 0; slot < DEPTH; slot++)
			CHECK(begin(slot, 0, round % 2).block < DEPTH);
		for (uint32_t slot = 0; slot < DEPTH; slot++)
			rw_verify_end(&verify, slot);
	}
	CHECK_EQ(verify.written_count, DEPTH);
	rw_verify_deinit(&verify);
}

static void generations_go_round(void)
{
	set_up();
	put(0);
	verify.generations[0] = INT32_MAX - 1;
	put(0);
	CHECK_EQ(begin(0, 0, true).generation, INT32_MAX);
	rw_verify_end(&verify, 0);
	put(0);
	CHECK_EQ(begin(0, 0, true).generation, 1);
	CHECK_EQ(verify.written_count, 1);
	rw_verify_deinit(&verify);
}

int main(void)
{
	writes_count_generations();
	first_reads_become_writes();
	reads_of_unwritten_go_to_written();
	no_block_is_in_flight_twice();
	smallest_part();
	generations_go_round();
	return rw_check_end();
}
