"""fio's JSON, read into the same record as ringway's own runs."""

from __future__ import annotations

import json
from typing import Any

from .environment import machine_kind
from .executor import RunError, RunSpec
from .record import Counters, CpuPerIo, Histogram, Latency, Measurement, Warning

_PERCENTILES = ("50.000000", "90.000000", "99.000000", "99.900000", "99.990000")


def measurement_of(spec: RunSpec, text: str, complaint: str = "") -> Measurement:
    """What fio reported, as a Measurement.

    `text` is the JSON of one group of jobs, `complaint` what fio wrote beside it. Raises RunError
    when there is no result in it.
    """
    job = _job(text, complaint)
    both = _directions(job)
    seconds = both["runtime"] / 1000
    operations = both["total_ios"]
    return Measurement(
        tool="fio",
        target=spec.target,
        path=spec.path or "io_uring",
        options=(spec.path or "").split("+")[1:],
        workload=spec.workload,
        iops=operations / seconds if seconds else 0.0,
        bandwidth=both["io_bytes"] / seconds if seconds else 0.0,
        latency_ns=_latency(both["lat_ns"]),
        cpu_ns_per_io=_cpu(job, operations),
        counters=Counters(),
        seconds=seconds,
        operations=operations,
        reads=job["read"]["total_ios"],
        writes=job["write"]["total_ios"],
        errors=int(bool(job.get("error"))),
        machine=machine_kind(),
        histogram=_histogram(both["lat_ns"]),
        warnings=_warnings(job, complaint),
    )


def _job(text: str, complaint: str) -> dict[str, Any]:
    try:
        # Messages may stand before the document.
        job = json.loads(text[max(text.find("{"), 0) :])["jobs"][0]
    except (ValueError, LookupError):
        said = _last_line(complaint) or "it said nothing"
        raise RunError(f"fio gave no result: {said}") from None
    if job.get("error") and not _directions(job)["total_ios"]:
        raise RunError(f"fio failed: {_last_line(complaint) or 'error ' + str(job['error'])}")
    return dict(job)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("fio: ") if lines else ""


def _directions(job: dict[str, Any]) -> dict[str, Any]:
    """Reads and writes together, or the one of them that there was."""
    if "mixed" in job and job["read"]["total_ios"] and job["write"]["total_ios"]:
        return dict(job["mixed"])
    return dict(max(job["read"], job["write"], key=lambda part: int(part["total_ios"])))


def _latency(lat: dict[str, Any]) -> Latency | None:
    ranks = lat.get("percentile")
    if not lat.get("N") or not ranks:
        return None
    p50, p90, p99, p99_9, p99_99 = (float(ranks[name]) for name in _PERCENTILES)
    return Latency(
        min=lat["min"],
        mean=lat["mean"],
        p50=p50,
        p90=p90,
        p99=p99,
        p99_9=p99_9,
        p99_99=p99_99,
        max=lat["max"],
    )


def _histogram(lat: dict[str, Any]) -> Histogram | None:
    bins = lat.get("bins")
    if not bins:
        return None
    pairs = sorted((int(value), int(count)) for value, count in bins.items())
    return Histogram(value_ns=[value for value, _ in pairs], count=[count for _, count in pairs])


def _cpu(job: dict[str, Any], operations: int) -> CpuPerIo | None:
    """From fio's percentages of the jobs' summed runtime; it does not count kernel helpers."""
    if not operations:
        return None
    share_ns = job["job_runtime"] * 1e6 / 100 / operations
    return CpuPerIo(user=job["usr_cpu"] * share_ns, system=job["sys_cpu"] * share_ns, helpers=0.0)


def _warnings(job: dict[str, Any], complaint: str) -> list[Warning]:
    if not job.get("error"):
        return []
    return [
        Warning(
            "io-error",
            f"fio reports error {job['error']}: {_last_line(complaint)}",
            "look at the kernel log, and at the target's health",
        )
    ]
