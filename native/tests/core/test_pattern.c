/* The verify pattern: every kind of wrong data is found, and told apart. */
#include "core/pattern.h"

#include <string.h>

#include "tests/check.h"

enum { BS = 4096, SEED = 77 };

static _Alignas(8) unsigned char block[BS];

static void fill(uint64_t offset, uint32_t generation)
{
	rw_pattern_fill(block, BS, offset, generation, SEED);
}

static bool right(uint64_t offset, uint32_t generation)
{
	return rw_pattern_check(block, BS, offset, generation, SEED);
}

static bool explained(uint64_t offset, uint32_t generation, const char *part)
{
	char text[256];

	rw_pattern_explain(block, BS, offset, generation, SEED, text, sizeof(text));
	if (strstr(text, part))
		return true;
	fprintf(stderr, "no \"%s\" in: %s\n", part, text);
	return false;
}

static void what_was_filled_is_right(void)
{
	for (uint64_t offset = 0; offset < 64 * BS; offset += BS) {
		for (uint32_t generation = 1; generation < 4; generation++) {
			fill(offset, generation);
			CHECK(right(offset, generation));
			CHECK(right(offset, RW_PATTERN_ANY_GENERATION));
		}
	}
	fill(UINT64_C(1) << 45, UINT32_MAX);
	CHECK(right(UINT64_C(1) << 45, UINT32_MAX));
	CHECK(explained(UINT64_C(1) << 45, UINT32_MAX, "right"));
}

/* A larger block is the same bytes as the smaller ones it is made of. */
static void units_stand_alone(void)
{
	fill(BS, 1);
	CHECK(rw_pattern_check(block + 512, 512, BS + 512, 1, SEED));
	CHECK(rw_pattern_check(block + 1024, 2048, BS + 1024, 1, SEED));
}

static void misplaced(void)
{
	fill(2 * BS, 1);
	CHECK(!right(BS, 1));
	CHECK(!right(BS, RW_PATTERN_ANY_GENERATION));
	CHECK(explained(BS, 1, "generation 1 of offset 8192: misplaced"));
}

static void stale(void)
{
	fill(BS, 4);
	CHECK(!right(BS, 5));
	CHECK(explained(BS, 5, "expected generation 5, found generation 4: stale"));
}

static void torn(void)
{
	fill(BS, 4);
	rw_pattern_fill(block + 2048, BS - 2048, BS + 2048, 3, SEED);
	CHECK(!right(BS, 4));
	CHECK(!right(BS, RW_PATTERN_ANY_GENERATION));
	CHECK(explained(BS, 4, "offset 6144: expected generation 4, found generation 3: torn"));
	CHECK(explained(BS, RW_PATTERN_ANY_GENERATION, "generation 3: torn"));
}

static void other_run(void)
{
	rw_pattern_fill(block, BS, BS, 1, SEED + 1);
	CHECK(!right(BS, 1));
	CHECK(explained(BS, 1, "expected seed 77, found seed 78"));
}

static void never_written(void)
{
	memset(block, 0, BS);
	CHECK(!right(0, 1));
	CHECK(!right(0, RW_PATTERN_ANY_GENERATION));
	CHECK(explained(0, 3, "expected generation 3, found data that no verifying run wrote"));
	CHECK(explained(0, RW_PATTERN_ANY_GENERATION, "no verifying run wrote"));
}

static void any_flipped_bit(void)
{
	fill(BS, 9);
	for (int bit = 0; bit < BS * 8; bit++) {
		block[bit / 8] ^= (unsigned char)(1 << bit % 8);
		CHECK(!right(BS, 9));
		block[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	block[600] ^= 1;
	CHECK(explained(BS, 9, "offset 4608: generation 9 with damaged data"));
}

int main(void)
{
	what_was_filled_is_right();
	units_stand_alone();
	misplaced();
	stale();
	torn();
	other_run();
	never_written();
	any_flipped_bit();
	return rw_check_end();
}
