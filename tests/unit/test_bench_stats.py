"""Spreads, ratios and percentiles."""

from __future__ import annotations

import numpy as np
import pytest

from ringway.bench.record import Latency
from ringway.bench.stats import (
    latency_of_histogram,
    latency_of_samples,
    median_latency,
    paired_ratio,
    relative_spread,
    sparse,
    spread,
)


def test_spread() -> None:
    found = spread([3.0, 1.0, 2.0])
    assert (found.median, found.low, found.high, found.n) == (2.0, 1.0, 3.0, 3)
    assert relative_spread(found) == 0.5
    assert relative_spread(spread([0.0])) == 0.0


def test_ratios_are_taken_pair_by_pair() -> None:
    # Both slow down together in the second round: the ratio is steady, the medians are not.
    ratio = paired_ratio("posix", [(200.0, 100.0), (100.0, 50.0), (210.0, 100.0)], ["pinned"])
    assert ratio is not None
    assert (ratio.median, ratio.low, ratio.high, ratio.pairs) == (2.0, 2.0, 2.1, 3)
    assert ratio.differences == ["pinned"]
    assert paired_ratio("posix", [(1.0, 0.0)]) is None


def test_percentiles_of_samples() -> None:
    found = latency_of_samples(np.arange(1, 10_001, dtype=np.int64))
    assert found is not None
    assert (found.min, found.p50, found.p99, found.max) == (1, 5001, 9901, 10_000)
    assert found.mean == 5000.5
    assert latency_of_samples(np.empty(0, np.int64)) is None


def test_percentiles_of_a_histogram_are_bucket_middles_between_the_extremes() -> None:
    values = np.array([0, 10, 20, 40], dtype=np.uint64)
    counts = np.array([0, 90, 9, 1], dtype=np.uint64)
    found = latency_of_histogram(counts, values, lowest=12.0, mean=16.0, highest=41.0)
    assert found is not None
    assert (found.p50, found.p90, found.p99) == (15.0, 15.0, 30.0)
    assert found.p99_9 == 40.0
    assert found.min == 12.0
    assert latency_of_histogram(counts * 0, values, 0.0, 0.0, 0.0) is None


def test_percentiles_never_leave_what_was_measured() -> None:
    values = np.array([0, 1000], dtype=np.uint64)
    counts = np.array([5, 0], dtype=np.uint64)
    found = latency_of_histogram(counts, values, lowest=3.0, mean=4.0, highest=7.0)
    assert found is not None
    assert found.p50 == 7.0


def test_sparse_histogram() -> None:
    found = sparse(np.array([0, 2, 0, 1], dtype=np.uint64), np.array([0, 1, 2, 3], dtype=np.uint64))
    assert (found.value_ns, found.count) == ([1, 3], [2, 1])


def test_median_of_latencies_keeps_the_extremes() -> None:
    def one(scale: float) -> Latency:
        return Latency(
            min=scale,
            mean=2 * scale,
            p50=2 * scale,
            p90=3 * scale,
            p99=4 * scale,
            p99_9=5 * scale,
            p99_99=6 * scale,
            max=7 * scale,
        )

    found = median_latency([one(1), one(3), one(2)])
    assert found is not None
    assert (found.min, found.p50, found.max) == (1, 4, 21)
    assert median_latency([]) is None


@pytest.mark.parametrize("n", [1, 2, 7])
def test_spread_counts(n: int) -> None:
    assert spread([1.0] * n).n == n
