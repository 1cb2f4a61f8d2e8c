/* Builds the alias table. */
#include "workload/zipf.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/histogram.h"

/* Ranks of each bin, and its weight: the mean rank stands for them all. */
static double weigh(struct rw_zipf *zipf, double *weights, uint64_t n, double theta)
{
	double sum = 0;

	for (uint32_t i = 0; i < zipf->count; i++) {
		struct rw_zipf_bin *bin = &zipf->bins[i];
		uint64_t next = rw_histogram_value(i + 1);

		bin->first = rw_histogram_value(i);
		bin->count = (next < n ? next : n) - bin->first;
		weights[i] = (double)bin->count *
			     pow((double)bin->first + (double)(bin->count + 1) / 2, -theta);
		sum += weights[i];
	}
	return sum;
}

/*
 * Every column is as high as the mean. A bin below it fills its column with a
 * piece of a bin above it, until all columns are full.
 */
static void level(struct rw_zipf *zipf, double *weights, uint32_t *queue, double mean)
{
	uint32_t low = 0, high = zipf->count;

	/* One array, two stacks: below the mean from the left, the others from the right. */
	for (uint32_t i = 0; i < zipf->count; i++) {
		zipf->bins[i].threshold = UINT64_MAX;
		zipf->bins[i].alias = i;
		if (weights[i] < mean)
			queue[low++] = i;
		else
			queue[--high] = i;
	}
	while (low && high < zipf->count) {
		uint32_t small = queue[--low], large = queue[high];

		zipf->bins[small].threshold = (uint64_t)ldexp(weights[small] / mean, 64);
		zipf->bins[small].alias = large;
		weights[large] -= mean - weights[small];
		if (weights[large] < mean) {
			high++;
			queue[low++] = large;
		}
	}
}

int rw_zipf_init(struct rw_zipf *zipf, uint64_t n, double theta, uint64_t seed)
{
	uint32_t count = rw_histogram_bucket(n - 1) + 1;
	double *weights = calloc(count, sizeof(*weights));
	uint32_t *queue = calloc(count, sizeof(*queue));

	zipf->count = count;
	zipf->bins = calloc(count, sizeof(*zipf->bins));
	if (weights && queue && zipf->bins) {
		double sum = weigh(zipf, weights, n, theta);

		level(zipf, weights, queue, sum / count);
		rw_permutation_init(&zipf->scatter, n, seed);
	}
	free(weights);
	free(queue);
	if (weights && queue && zipf->bins)
		return 0;
	rw_zipf_deinit(zipf);
	return rw_fail(ENOMEM, "no memory for the zipf table");
}

void rw_zipf_deinit(struct rw_zipf *zipf)
{
	free(zipf->bins);
	zipf->bins = NULL;
}
