/* Seeding of the generator and of the permutation. */
#include "core/random.h"

/* The golden ratio as a 64-bit fraction: splitmix64 counts in steps of it. */
#define RW_GOLDEN 0x9e3779b97f4a7c15

void rw_random_init(struct rw_random *random, uint64_t seed, uint64_t stream)
{
	uint64_t x = rw_mix(seed + RW_GOLDEN) ^ rw_mix(~stream);

	/* Four different inputs to a bijection: never all zero, which would be for ever. */
	for (int i = 0; i < 4; i++)
		random->state[i] = rw_mix(x += RW_GOLDEN);
}

void rw_permutation_init(struct rw_permutation *permutation, uint64_t n, uint64_t seed)
{
	uint32_t width = n > 1 ? 64 - (uint32_t)__builtin_clzll(n - 1) : 0;
	struct rw_random random;

	rw_random_init(&random, seed, 0);
	permutation->n = n;
	permutation->mask = width ? UINT64_MAX >> (64 - width) : 0;
	permutation->multiplier[0] = rw_random_next(&random) | 1;
	permutation->multiplier[1] = rw_random_next(&random) | 1;
	permutation->addend = rw_random_next(&random);
	permutation->shift = width > 1 ? width / 2 : 1;
}
