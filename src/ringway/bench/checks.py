"""Cross-checks of a figure, and what makes two figures unlike."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from .record import Check, Measurement
from .units import format_bandwidth, format_count
from .workload import Workload

#: A queue that holds this share of its depth on average counts as full.
FULL = 0.85
_SLACK = 1.1
#: The device's counters and ours are read at slightly different moments.
_COUNTERS_AGREE = (0.85, 1.15)
_NO_IO = 0.02
#: Settings that change the work; runs that differ in one are not compared.
_SAME_WORK = (
    "rw",
    "bs",
    "depth",
    "threads",
    "offset",
    "span",
    "total",
    "rate",
    "seed",
    "zipf",
    "mix",
    "verify",
    "direct",
    "batch",
    "runtime",
    "ramp",
)


def unlike(a: Measurement, b: Measurement) -> list[str]:
    """Settings in which two runs differ, in words; empty where they may be compared."""
    found = unlike_work(a.workload, b.workload)
    if a.workload.cpu != b.workload.cpu:
        found.append(f"pinned to {_cpu(a.workload.cpu)} against {_cpu(b.workload.cpu)}")
    return found + unlike_machines(a.machine, b.machine)


def unlike_machines(a: str, b: str) -> list[str]:
    """Native, virtual and emulated figures have nothing to say about each other."""
    return [f"{a} against {b} machine"] if a != b else []


def unlike_work(a: Workload, b: Workload) -> list[str]:
    """The same for the work that was asked for, wherever it ran."""
    return [
        f"{name} {getattr(a, name)} against {getattr(b, name)}"
        for name in _SAME_WORK
        if getattr(a, name) != getattr(b, name)
    ]


def _cpu(cpu: int | None) -> str:
    return "no CPU" if cpu is None else f"CPU {cpu}"


def checks_of(runs: Sequence[Measurement]) -> list[Check]:
    """All the cross-checks that can be made of the repetitions of one path."""
    found = (littles_law(runs), device_counters(runs))
    return [check for check in found if check is not None]


def littles_law(runs: Sequence[Measurement]) -> Check | None:
    """Operations in flight = rate × latency: they cannot exceed the depth, and should fill it."""
    work = runs[0].workload
    slots = work.depth * work.threads
    shares = [one.iops * one.latency_ns.mean / 1e9 / slots for one in runs if one.latency_ns]
    if not shares or work.rate:
        return None
    share = median(shares)
    return Check("queue-filled", share <= _SLACK, share, _little_text(share, work))


def _serial(share: float, work: Workload) -> bool:
    """One operation at a time: the path does not use the depth."""
    return work.depth > 1 and FULL <= share * work.depth <= _SLACK


def _little_text(share: float, work: Workload) -> str:
    slots = work.depth * work.threads
    if share > _SLACK:
        return (
            f"rate × latency gives {share * slots:.1f} operations in flight where {slots} "
            "are possible: one of the two is wrong"
        )
    if _serial(share, work):
        return "one operation at a time per thread, whatever the depth"
    return f"rate × latency gives {share * slots:.1f} of {slots} operations in flight"


def device_counters(runs: Sequence[Measurement]) -> Check | None:
    """Bytes the device counted against bytes we claim; with the page cache, none are expected."""
    pairs = [(one.device.bandwidth, one.bandwidth) for one in runs if one.device and one.bandwidth]
    if not pairs:
        return None
    share = median(theirs / ours for theirs, ours in pairs)
    device, ours = runs[0].device, median(ours for _, ours in pairs)
    name = device.device if device else ""
    if not runs[0].workload.direct:
        return Check("page-cache", share < _NO_IO, share, _cache_text(share, name))
    low, high = _COUNTERS_AGREE
    return Check("device-counters", low <= share <= high, share, _device_text(share, name, ours))


def _cache_text(share: float, name: str) -> str:
    if share < _NO_IO:
        return f"the page cache answered: {name} moved nothing"
    return f"not all came from the page cache: {name} moved {share:.0%} of the bytes"


def _device_text(share: float, name: str, ours: float) -> str:
    low, high = _COUNTERS_AGREE
    if share > high:
        return f"something else used {name} as well: it moved {share:.2f}× what we asked for"
    if share < low:
        return f"a cache answered: {name} moved only {share:.0%} of {format_bandwidth(ours)}"
    return f"the counters of {name} agree: {share:.2f}× of {format_bandwidth(ours)}"


def rate_text(iops: float) -> str:
    """``82.1k IOPS``."""
    return f"{format_count(iops)} IOPS"
