/* The zipf distribution: its skew, its scatter, its limits. */
#include "workload/zipf.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "tests/check.h"

enum { DRAWS = 400000 };

static double zeta(uint64_t n, double theta)
{
	double sum = 0;

	for (uint64_t i = n; i; i--)
		sum += pow((double)i, -theta);
	return sum;
}

static uint64_t *draw(uint64_t n, double theta, bool scattered)
{
	uint64_t *counts = calloc(n, sizeof(*counts));
	struct rw_random random;
	struct rw_zipf zipf;

	CHECK(counts && !rw_zipf_init(&zipf, n, theta, 5));
	rw_random_init(&random, 17, 0);
	for (int i = 0; i < DRAWS; i++) {
		uint64_t x = scattered ? rw_zipf_next(&zipf, &random) :
			     rw_zipf_rank(&zipf, &random);

		CHECK(x < n);
		counts[x < n ? x : 0]++;
	}
	rw_zipf_deinit(&zipf);
	return counts;
}

/*
 * Ranks are put into cells of about 2000 expected draws; the sum of squares of
 * that many degrees of freedom must not be five standard deviations off.
 */
static void chi_square_fits(uint64_t n, double theta)
{
	double scale = DRAWS / zeta(n, theta), chi = 0, expected = 0, deviation;
	uint64_t *counts = draw(n, theta, false), seen = 0;
	int cells = 0;

	for (uint64_t i = 0; i < n; i++) {
		expected += scale * pow((double)(i + 1), -theta);
		seen += counts[i];
		if (expected < 2000 && i + 1 < n)
			continue;
		if (expected >= 50) {
			chi += ((double)seen - expected) * ((double)seen - expected) / expected;
			cells++;
		}
		expected = 0;
		seen = 0;
	}
	deviation = sqrt(2.0 * cells);
	CHECK(fabs(chi - cells) < 5 * deviation + 2);
	free(counts);
}

/* The slope of log(frequency) over log(rank), from ranks of 10 and of 1000. */
static void theta_is_found_again(double theta)
{
	uint64_t n = 100000, low = 0, high = 0, *counts = draw(n, theta, false);
	double expected_low = 0, expected_high = 0, found;

	for (uint64_t i = 9; i < 29; i++) {
		low += counts[i];
		expected_low += pow((double)(i + 1), -theta);
	}
	for (uint64_t i = 999; i < 2999; i++) {
		high += counts[i];
		expected_high += pow((double)(i + 1), -theta);
	}
	found = theta + log((double)low / expected_low * expected_high / (double)high) / log(100);
	CHECK(fabs(found - theta) < 0.05);
	free(counts);
}

static int descending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* Scattering moves counts about and merges none: sorted, they are like unscattered ones. */
static void scattering_keeps_the_distribution(void)
{
	uint64_t n = 5003, *plain = draw(n, 0.9, false), *moved = draw(n, 0.9, true);
	uint64_t first_half = 0;

	for (uint64_t i = 0; i < n / 2; i++)
		first_half += moved[i];
	CHECK(first_half > DRAWS / 5 && first_half < DRAWS * 4 / 5);
	qsort(plain, n, sizeof(*plain), descending);
	qsort(moved, n, sizeof(*moved), descending);
	for (uint64_t i = 0; i < n; i++)
		CHECK(plain[i] == moved[i]);
	free(plain);
	free(moved);
}

static void small_and_large_ranges(void)
{
	static const uint64_t sizes[] = {1, 2, 3, 255, 256, 257, 258, UINT64_C(1) << 40, INT64_MAX};
	struct rw_random random;
	struct rw_zipf zipf;

	rw_random_init(&random, 1, 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		CHECK_EQ(rw_zipf_init(&zipf, sizes[i], 0.99, 1), 0);
		for (int draws = 0; draws < 20000; draws++)
			CHECK(rw_zipf_next(&zipf, &random) < sizes[i]);
		rw_zipf_deinit(&zipf);
	}
}

int main(void)
{
	static const double thetas[] = {0.01, 0.5, 0.8, 0.99, 0.9999};

	for (size_t i = 0; i < sizeof(thetas) / sizeof(*thetas); i++) {
		chi_square_fits(100, thetas[i]);
		chi_square_fits(1000, thetas[i]);
		chi_square_fits(65536, thetas[i]);
		chi_square_fits(100003, thetas[i]);
		theta_is_found_again(thetas[i]);
	}
	scattering_keeps_the_distribution();
	small_and_large_ranges();
	return rw_check_end();
}
