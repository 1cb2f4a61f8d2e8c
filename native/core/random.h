/*
 * Random numbers for workloads: xoshiro256++ (Blackman and Vigna), one stream
 * per thread, bounded by a multiplication instead of a division; and a
 * pseudo-random permutation of 0..n-1 that needs no memory.
 *
 * None of this is fit for cryptography.
 */
#ifndef RW_CORE_RANDOM_H
#define RW_CORE_RANDOM_H

#include <stdint.h>

struct rw_random {
	uint64_t state[4];
};

struct rw_permutation {
	uint64_t n;
	uint64_t mask;           /* smallest 2^k - 1 that holds n - 1 */
	uint64_t multiplier[2];  /* odd */
	uint64_t addend;
	uint32_t shift;          /* half the width of mask */
};

/* The same seed and stream give the same numbers; streams of one seed are independent. */
void rw_random_init(struct rw_random *random, uint64_t seed, uint64_t stream);

/* A permutation of 0..n-1 picked by the seed; n is at least 1. */
void rw_permutation_init(struct rw_permutation *permutation, uint64_t n, uint64_t seed);

/* Mixes all bits of x: the finaliser of splitmix64 (Steele, Lea and Flood). */
static inline uint64_t rw_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static inline uint64_t rw_rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline uint64_t rw_random_next(struct rw_random *random)
{
	uint64_t *s = random->state;
	uint64_t out = rw_rotate(s[0] + s[3], 23) + s[0];
	uint64_t shifted = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= shifted;
	s[3] = rw_rotate(s[3], 45);
	return out;
}

/*
 * Uniform in 0..n-1, n at least 1. Some values are favoured by at most
 * n / 2^64, far below what any run could notice, so nothing is drawn twice.
 */
static inline uint64_t rw_random_below(struct rw_random *random, uint64_t n)
{
	return (uint64_t)((unsigned __int128)rw_random_next(random) * n >> 64);
}

/*
 * Each step is a bijection of 0..mask: an odd multiplier, and a shift to the
 * right xored in. Values outside 0..n-1 are sent round again, which keeps it a
 * bijection of 0..n-1 and takes less than two rounds on average.
 */
static inline uint64_t rw_permute(const struct rw_permutation *p, uint64_t x)
{
	do {
		x = (x * p->multiplier[0] + p->addend) & p->mask;
		x ^= x >> p->shift;
		x = (x * p->multiplier[1]) & p->mask;
		x ^= x >> p->shift;
	} while (x >= p->n);
	return x;
}

#endif
