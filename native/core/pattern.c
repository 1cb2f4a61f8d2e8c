/* Filling and checking at about the speed of memory, and saying what was found. */
#include "core/pattern.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/random.h"

enum { WORDS = RW_PATTERN_UNIT / 8, HEADER_WORDS = 4 };

#define RW_PATTERN_MAGIC UINT32_C(0x72773a29)
#define RW_PATTERN_STEP 0x9e3779b97f4a7c15

/* The head of a unit; its other words count up from the key in RW_PATTERN_STEPs. */
struct unit {
	uint64_t offset;
	uint32_t magic;
	uint32_t generation;
	uint64_t seed;
	uint64_t key;
	uint64_t words[WORDS - HEADER_WORDS];
};

_Static_assert(sizeof(struct unit) == RW_PATTERN_UNIT, "a unit has no padding");

static uint64_t unit_key(uint64_t offset, uint32_t generation, uint64_t seed)
{
	return rw_mix(offset + rw_mix(seed ^ (uint64_t)generation << 32));
}

void rw_pattern_fill(void *memory, size_t length, uint64_t offset, uint32_t generation,
		     uint64_t seed)
{
	struct unit *end = (struct unit *)((char *)memory + length);

	for (struct unit *unit = memory; unit < end; unit++, offset += RW_PATTERN_UNIT) {
		uint64_t word = unit_key(offset, generation, seed);

		unit->offset = offset;
		unit->magic = RW_PATTERN_MAGIC;
		unit->generation = generation;
		unit->seed = seed;
		unit->key = word;
		for (int i = 0; i < WORDS - HEADER_WORDS; i++)
			unit->words[i] = word += RW_PATTERN_STEP;
	}
}

static bool unit_is_right(const struct unit *unit, uint64_t offset, uint32_t generation,
			  uint64_t seed)
{
	uint64_t word = unit_key(offset, generation, seed);
	uint64_t wrong = (unit->offset ^ offset) | (unit->magic ^ RW_PATTERN_MAGIC) |
			 (unit->generation ^ generation) | (unit->seed ^ seed) |
			 (unit->key ^ word);

	/* All words, without leaving early: the compiler can then use vectors. */
	for (int i = 0; i < WORDS - HEADER_WORDS; i++)
		wrong |= unit->words[i] ^ (word += RW_PATTERN_STEP);
	return !wrong;
}

/* The generation that all units must have: the one expected, or that of the first. */
static uint32_t wanted_generation(const struct unit *first, uint32_t generation)
{
	if (generation != RW_PATTERN_ANY_GENERATION)
		return generation;
	return first->magic == RW_PATTERN_MAGIC ? first->generation : 1;
}

bool rw_pattern_check(const void *memory, size_t length, uint64_t offset, uint32_t generation,
		      uint64_t seed)
{
	const struct unit *unit = memory, *end = unit + length / RW_PATTERN_UNIT;

	generation = wanted_generation(unit, generation);
	for (; unit < end; unit++, offset += RW_PATTERN_UNIT)
		if (!unit_is_right(unit, offset, generation, seed))
			return false;
	return true;
}

static void explain_unit(const struct unit *unit, bool first, uint64_t offset,
			 uint32_t generation, uint64_t seed, char *text, size_t size)
{
	if (unit->magic != RW_PATTERN_MAGIC)
		snprintf(text, size, "offset %" PRIu64 ": expected generation %" PRIu32
			 ", found data that no verifying run wrote", offset, generation);
	else if (unit->seed != seed)
		snprintf(text, size, "offset %" PRIu64 ": expected seed %" PRIu64 ", found seed %"
			 PRIu64 ": the data of another run", offset, seed, unit->seed);
	else if (unit->offset != offset)
		snprintf(text, size, "offset %" PRIu64 ": expected generation %" PRIu32
			 " of it, found generation %" PRIu32 " of offset %" PRIu64 ": misplaced",
			 offset, generation, unit->generation, unit->offset);
	else if (unit->generation != generation)
		snprintf(text, size, "offset %" PRIu64 ": expected generation %" PRIu32
			 ", found generation %" PRIu32 ": %s", offset, generation,
			 unit->generation, first ? "stale" : "torn, the block begins with another");
	else
		snprintf(text, size, "offset %" PRIu64 ": generation %" PRIu32 " with damaged data",
			 offset, generation);
}

void rw_pattern_explain(const void *memory, size_t length, uint64_t offset, uint32_t generation,
			uint64_t seed, char *text, size_t size)
{
	const struct unit *unit = memory, *end = unit + length / RW_PATTERN_UNIT;

	snprintf(text, size, "offset %" PRIu64 ": the data is right", offset);
	generation = wanted_generation(unit, generation);
	for (; unit < end; unit++, offset += RW_PATTERN_UNIT) {
		if (unit_is_right(unit, offset, generation, seed))
			continue;
		explain_unit(unit, unit == memory, offset, generation, seed, text, size);
		return;
	}
}
