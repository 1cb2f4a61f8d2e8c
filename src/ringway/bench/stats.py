"""Medians, spreads and ratios of few repetitions; percentiles of many latencies."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from .record import Histogram, Latency, Ratio, Spread

QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)
#: Latency's fields in the order in which they are told.
LATENCY_FIELDS = ("min", "mean", "p50", "p90", "p99", "p99_9", "p99_99", "max")


def spread(values: Sequence[float]) -> Spread:
    """Median, lowest and highest of at least one value."""
    return Spread(median=median(values), low=min(values), high=max(values), n=len(values))


def relative_spread(s: Spread) -> float:
    """Half the distance between the extremes, as a share of the median."""
    return (s.high - s.low) / 2 / s.median if s.median else 0.0


def paired_ratio(
    to: str,
    pairs: Sequence[tuple[float, float]],
    differences: Sequence[str] = (),
) -> Ratio | None:
    """Ratio of figures measured side by side, round by round; None without a usable pair.

    Pairs of one round share what the machine was doing at the time, so their ratio is steadier
    than the ratio of two medians.
    """
    ratios = [ours / theirs for ours, theirs in pairs if theirs > 0]
    if not ratios:
        return None
    return Ratio(
        to=to,
        median=median(ratios),
        low=min(ratios),
        high=max(ratios),
        pairs=len(ratios),
        differences=list(differences),
    )


def latency_of_samples(ns: NDArray[np.int64]) -> Latency | None:
    """Percentiles of single latencies; None when there are none."""
    if not len(ns):
        return None
    ranks = np.quantile(ns, QUANTILES, method="higher")
    return _latency(float(ns.min()), float(ns.mean()), ranks, float(ns.max()))


def latency_of_histogram(
    counts: NDArray[np.uint64],
    values: NDArray[np.uint64],
    lowest: float,
    mean: float,
    highest: float,
) -> Latency | None:
    """Percentiles of a histogram; `values` are the buckets' lower bounds.

    A percentile is the middle of its bucket, held between the extremes that were measured.
    """
    total = int(counts.sum())
    if not total:
        return None
    upper = np.append(values[1:], values[-1:])
    middles = (values.astype(float) + upper) / 2
    ranks = np.ceil(np.array(QUANTILES) * total)
    places = np.searchsorted(np.cumsum(counts), ranks)
    return _latency(lowest, mean, np.clip(middles[places], lowest, highest), highest)


def _latency(
    lowest: float, mean: float, ranks: Sequence[float] | NDArray[np.float64], highest: float
) -> Latency:
    p50, p90, p99, p99_9, p99_99 = (float(value) for value in ranks)
    return Latency(
        min=lowest, mean=mean, p50=p50, p90=p90, p99=p99, p99_9=p99_9, p99_99=p99_99, max=highest
    )


def sparse(counts: NDArray[np.uint64], values: NDArray[np.uint64]) -> Histogram:
    """The buckets that are not empty."""
    filled = np.flatnonzero(counts)
    return Histogram(value_ns=values[filled].tolist(), count=counts[filled].tolist())


def median_latency(latencies: Sequence[Latency]) -> Latency | None:
    """Field by field the median of repetitions; of the extremes, the extreme."""
    if not latencies:
        return None
    fields = {name: median(getattr(one, name) for one in latencies) for name in LATENCY_FIELDS}
    fields["min"] = min(one.min for one in latencies)
    fields["max"] = max(one.max for one in latencies)
    return Latency(**fields)
