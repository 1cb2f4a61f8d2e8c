"""CSV: one line for every run, in the order in which they were made."""

from __future__ import annotations

import csv
import io

from ..record import Comparison, Round

_COLUMNS = (
    "sequence",
    "round",
    "group",
    "label",
    "tool",
    "path",
    "api",
    "rw",
    "bs",
    "depth",
    "threads",
    "direct",
    "iops",
    "bandwidth",
    "latency_min_ns",
    "latency_mean_ns",
    "latency_p50_ns",
    "latency_p90_ns",
    "latency_p99_ns",
    "latency_p99.9_ns",
    "latency_p99.99_ns",
    "latency_max_ns",
    "cpu_user_ns_per_io",
    "cpu_system_ns_per_io",
    "cpu_helpers_ns_per_io",
    "operations",
    "errors",
    "seconds",
    "syscalls",
    "copies",
    "punts",
    "started",
)


def to_csv(comparison: Comparison) -> str:
    """The runs as a table with a header line; empty where a figure is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_row(one) for one in comparison.runs)
    return text.getvalue()


def _row(one: Round) -> list[object]:
    work, lat, cpu = one.workload, one.latency_ns, one.cpu_ns_per_io
    return [
        one.sequence,
        one.round,
        one.group,
        one.label,
        one.tool,
        one.path,
        one.api,
        work.rw,
        work.bs,
        work.depth,
        work.threads,
        int(work.direct),
        round(one.iops, 1),
        round(one.bandwidth),
        *(
            _rounded(getattr(lat, name, None))
            for name in ("min", "mean", "p50", "p90", "p99", "p99_9", "p99_99", "max")
        ),
        *(_rounded(getattr(cpu, name, None)) for name in ("user", "system", "helpers")),
        one.operations,
        one.errors + one.verify_errors,
        round(one.seconds, 3),
        one.counters.syscalls,
        one.counters.copies,
        one.counters.punts,
        one.started,
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
