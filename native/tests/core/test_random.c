/* The generator: streams, uniformity, bounds; the permutation: a bijection that scatters. */
#include "core/random.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

/* The published algorithm's first numbers from the state 1, 2, 3, 4. */
static void generator_is_xoshiro(void)
{
	struct rw_random random = {{1, 2, 3, 4}};

	CHECK_EQ(rw_random_next(&random), 41943041);
	CHECK_EQ(rw_random_next(&random), 58720359);
	CHECK_EQ(rw_random_next(&random), 3588806011781223);
	CHECK_EQ(rw_random_next(&random), 3591011842654386);
}

static void seeds_and_streams(void)
{
	struct rw_random a, b, other_stream, other_seed;
	int same_stream = 0, same_seed = 0;

	rw_random_init(&a, 7, 3);
	rw_random_init(&b, 7, 3);
	rw_random_init(&other_stream, 7, 4);
	rw_random_init(&other_seed, 8, 3);
	for (int i = 0; i < 1000; i++) {
		uint64_t x = rw_random_next(&a);

		CHECK(x == rw_random_next(&b));
		same_stream += x == rw_random_next(&other_stream);
		same_seed += x == rw_random_next(&other_seed);
	}
	CHECK_EQ(same_stream, 0);
	CHECK_EQ(same_seed, 0);
}

/* Seed and stream must not cancel out: equal pairs would be one stream. */
static void seed_and_stream_are_not_alike(void)
{
	struct rw_random a, b;

	rw_random_init(&a, 1, 2);
	rw_random_init(&b, 2, 1);
	CHECK(rw_random_next(&a) != rw_random_next(&b));
	rw_random_init(&a, 0, 0);
	CHECK(rw_random_next(&a) != 0 || rw_random_next(&a) != 0);
}

static double chi_square(const uint64_t *counts, int cells, double expected)
{
	double sum = 0;

	for (int i = 0; i < cells; i++)
		sum += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
	return sum;
}

/* 255 degrees of freedom: mean 255, standard deviation 22.6; 150..360 is beyond 4.6 of them. */
static void uniform_below(uint64_t n, uint64_t seed)
{
	enum { CELLS = 256, DRAWS = 1 << 19 };
	uint64_t counts[CELLS] = {0};
	struct rw_random random;
	double chi;

	rw_random_init(&random, seed, 0);
	for (int i = 0; i < DRAWS; i++) {
		uint64_t x = rw_random_below(&random, n);

		CHECK(x < n);
		counts[(unsigned __int128)x * CELLS / n]++;
	}
	chi = chi_square(counts, CELLS, (double)DRAWS / CELLS);
	CHECK(chi > 150 && chi < 360);
}

static void bits_are_balanced(void)
{
	enum { DRAWS = 100000 };
	int ones[64] = {0};
	struct rw_random random;

	rw_random_init(&random, 99, 0);
	for (int i = 0; i < DRAWS; i++) {
		uint64_t x = rw_random_next(&random);

		for (int bit = 0; bit < 64; bit++)
			ones[bit] += x >> bit & 1;
	}
	/* Standard deviation 158; five of them. */
	for (int bit = 0; bit < 64; bit++)
		CHECK(abs(ones[bit] - DRAWS / 2) < 800);
}

static void below_one_is_zero(void)
{
	struct rw_random random;

	rw_random_init(&random, 1, 0);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(rw_random_below(&random, 1), 0);
}

static void permutation_is_a_bijection(uint64_t n, uint64_t seed)
{
	bool *seen = calloc(n, sizeof(*seen));
	struct rw_permutation permutation;

	rw_permutation_init(&permutation, n, seed);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t x = rw_permute(&permutation, i);

		CHECK(x < n && !seen[x]);
		if (x < n)
			seen[x] = true;
	}
	free(seen);
}

/* The first numbers, which zipf makes the hottest, go everywhere. */
static void permutation_scatters(uint64_t n, uint64_t seed)
{
	enum { CELLS = 16, FIRST = 4096 };
	uint64_t counts[CELLS] = {0};
	struct rw_permutation permutation;
	int fixed = 0;

	rw_permutation_init(&permutation, n, seed);
	for (uint64_t i = 0; i < FIRST; i++) {
		uint64_t x = rw_permute(&permutation, i);

		fixed += x == i;
		counts[(unsigned __int128)x * CELLS / n]++;
	}
	CHECK(fixed < 10);
	for (int i = 0; i < CELLS; i++)
		CHECK(counts[i] > FIRST / CELLS / 2 && counts[i] < FIRST / CELLS * 2);
}

static void permutation_depends_on_seed(void)
{
	struct rw_permutation a, b;
	int same = 0;

	rw_permutation_init(&a, 1 << 20, 1);
	rw_permutation_init(&b, 1 << 20, 2);
	for (uint64_t i = 0; i < 1000; i++)
		same += rw_permute(&a, i) == rw_permute(&b, i);
	CHECK(same < 10);
}

int main(void)
{
	static const uint64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 100, 1000, 4096, 4097, 65535};

	generator_is_xoshiro();
	seeds_and_streams();
	seed_and_stream_are_not_alike();
	uniform_below(256, 1);
	uniform_below(1000003, 2);
	uniform_below(UINT64_C(3) << 40, 3);
	uniform_below(UINT64_MAX, 4);
	bits_are_balanced();
	below_one_is_zero();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (uint64_t seed = 0; seed < 5; seed++)
			permutation_is_a_bijection(sizes[i], seed);
	for (uint64_t seed = 0; seed < 20; seed++) {
		permutation_scatters(1 << 18, seed);
		permutation_scatters(1000003, seed);
		permutation_scatters(UINT64_C(1) << 41, seed);
		permutation_scatters((UINT64_C(1) << 40) + 1, seed);
	}
	permutation_depends_on_seed();
	return rw_check_end();
}
