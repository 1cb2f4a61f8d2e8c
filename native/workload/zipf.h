/*
 * Zipf-distributed numbers in 0..n-1: the r-th most likely has a probability
 * proportional to r^-theta, and which number that is, is scattered over the
 * range by a permutation.
 *
 * Ranks are grouped into the buckets of the latency histogram: the first 256
 * alone, the others with at most 0.8 % of their own size of neighbours. Bucket
 * probabilities are right to 10^-5; inside one, ranks are equally likely, which
 * is wrong by at most 0.4 % for a single rank. The buckets' alias table
 * (Walker's method, built as Vose does) makes a draw two multiplications and
 * one look-up, whatever n is, with no pow() in it.
 */
#ifndef RW_WORKLOAD_ZIPF_H
#define RW_WORKLOAD_ZIPF_H

#include "core/random.h"

struct rw_zipf_bin {
	uint64_t first, count;   /* ranks, from 0 */
	uint64_t threshold;      /* share of the column that is its own, of 2^64 */
	uint32_t alias;          /* whose the rest is */
};

struct rw_zipf {
	struct rw_permutation scatter;
	struct rw_zipf_bin *bins;
	uint32_t count;
};

/* n is at least 1, theta above 0 and below 1. -ENOMEM. */
int rw_zipf_init(struct rw_zipf *zipf, uint64_t n, double theta, uint64_t seed);
void rw_zipf_deinit(struct rw_zipf *zipf);

static inline uint64_t rw_zipf_rank(const struct rw_zipf *zipf, struct rw_random *random)
{
	/* The whole part of the product picks a column, the fraction where in it. */
	unsigned __int128 product = (unsigned __int128)rw_random_next(random) * zipf->count;
	const struct rw_zipf_bin *bin = &zipf->bins[product >> 64];

	if ((uint64_t)product >= bin->threshold)
		bin = &zipf->bins[bin->alias];
	return bin->first + rw_random_below(random, bin->count);
}

static inline uint64_t rw_zipf_next(const struct rw_zipf *zipf, struct rw_random *random)
{
	return rw_permute(&zipf->scatter, rw_zipf_rank(zipf, random));
}

#endif
