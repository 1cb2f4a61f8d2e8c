"""The native executor: the workload runner in C, watched from Python."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ringway
from ringway._native import ffi, lib
from ringway.errors import check

from .environment import machine_kind
from .executor import Progress, RunError, RunSpec, Status, now
from .meter import DeviceMeter
from .record import Counters, CpuPerIo, DeviceRate, Latency, Measurement, Warning
from .stats import latency_of_histogram, sparse
from .workload import Workload

_NS = 1_000_000_000
#: How long one wait in C lasts: Ctrl-C and the progress display are never further away.
_POLL_NS = 100_000_000


class NativeExecutor:
    """Runs workloads in C threads; Python only looks on, ten times a second."""

    def run(self, spec: RunSpec, progress: Progress) -> Measurement:
        started = now()
        with open_device(spec) as device, _run(device, spec.workload) as run:
            meter = DeviceMeter.under(spec.target, spec.path or "")
            interrupted = _watch(run, progress, meter)
            result = _result(run)
            return _measurement(spec, device, run, result, meter.rate(), started, interrupted)


@contextmanager
def open_device(spec: RunSpec) -> Iterator[Any]:
    """The target of a run, opened as its workload needs it."""
    device = ringway.open(
        spec.target,
        spec.path,
        writable=spec.workload.writes,
        direct=spec.workload.direct,
    )
    with device:
        yield device


@contextmanager
def _run(device: Any, workload: Workload) -> Iterator[Any]:
    out = ffi.new("struct rw_run **")
    check(lib.rw_run_start(device._handle, _c_workload(workload), out))
    try:
        yield out[0]
    finally:
        lib.rw_run_destroy(out[0])


def _c_workload(w: Workload) -> Any:
    uniform = lib.RW_ZIPF if w.zipf else lib.RW_UNIFORM
    return ffi.new(
        "struct rw_workload *",
        {
            "offset": w.offset,
            "span": w.span,
            "bs": w.bs,
            "total_bytes": w.total,
            "ramp_ns": round(w.ramp * _NS),
            "runtime_ns": round(w.runtime * _NS),
            "rate": w.rate,
            "seed": w.seed,
            "zipf_theta": w.zipf,
            "access": uniform if w.random else lib.RW_SEQUENTIAL,
            "read_percent": w.read_percent,
            "depth": w.depth,
            "threads": w.threads,
            "batch": w.batch,
            "verify": int(w.verify),
            "first_cpu": -1 if w.cpu is None else w.cpu,
        },
    )


def _watch(run: Any, progress: Progress, meter: DeviceMeter) -> bool:
    """Waits for the end; True when it came because the caller wanted it."""
    status = ffi.new("struct rw_run_status *")
    asked = False
    while True:
        try:
            lib.rw_run_poll(run, status, _POLL_NS)
            go_on = progress(_status(status))
        except KeyboardInterrupt:
            go_on = False
        if status.finished:
            return asked
        if status.elapsed_ns:
            meter.sample()
        if not go_on and not asked:
            lib.rw_run_stop(run)
            asked = True


def _status(status: Any) -> Status:
    return Status(status.elapsed_ns / _NS, status.operations, ramping=not status.elapsed_ns)


def _result(run: Any) -> Any:
    result = ffi.new("struct rw_run_result *")
    check(lib.rw_run_result(run, result))
    if result.error and not result.reads + result.writes:
        raise RunError(_failure(run, result))
    return result


def _failure(run: Any, result: Any) -> str:
    return ffi.string(lib.rw_run_detail(run)).decode() or os.strerror(-result.error)


def _measurement(
    spec: RunSpec,
    device: Any,
    run: Any,
    result: Any,
    rate: DeviceRate | None,
    started: str,
    interrupted: bool,
) -> Measurement:
    operations = result.reads + result.writes
    seconds = result.elapsed_ns / _NS
    counts = _histogram(run)
    return Measurement(
        target=spec.target,
        path=spec.path or "+".join((device.path, *device.options)),
        options=list(device.options),
        why=device.why,
        workload=spec.workload,
        iops=operations / seconds if seconds else 0.0,
        bandwidth=(result.read_bytes + result.write_bytes) / seconds if seconds else 0.0,
        latency_ns=_latency(counts, result, operations),
        cpu_ns_per_io=_cpu(result, operations),
        counters=_counters(result),
        seconds=seconds,
        operations=operations,
        reads=result.reads,
        writes=result.writes,
        errors=result.errors,
        verify_errors=result.verify_errors,
        interrupted=interrupted,
        machine=machine_kind(),
        started=started,
        series=_series(run, result.series_length),
        histogram=sparse(counts, bucket_values()),
        device=rate,
        warnings=_warnings(run, result, operations),
    )


def _warnings(run: Any, result: Any, operations: int) -> list[Warning]:
    warnings: list[Warning] = []
    if result.errors or result.error not in (0, -errno.EILSEQ):  # wrong data has its own
        warnings.append(
            Warning(
                "io-error",
                f"{max(result.errors, 1)} of {operations} operations failed: "
                f"{_failure(run, result)}",
                "look at the kernel log, and at the target's health",
            )
        )
    if result.verify_errors:
        warnings.append(
            Warning(
                "wrong-data",
                f"{result.verify_errors} blocks did not hold what had been written to them: "
                f"{_failure(run, result)}",
                "do not trust this target; look at the kernel log",
            )
        )
    if operations and result.punts > operations // 10:
        warnings.append(
            Warning(
                "punted",
                f"{result.punts} of {operations} operations were handed to io_uring's "
                "worker threads",
                "the target cannot be submitted to without blocking; prefer posix or libaio here",
            )
        )
    return warnings


def _histogram(run: Any) -> NDArray[np.uint64]:
    counts = np.zeros(lib.RW_HISTOGRAM_BUCKETS, dtype=np.uint64)
    lib.rw_run_histogram(run, ffi.from_buffer("uint64_t[]", counts, require_writable=True))
    return counts


@cache
def bucket_values() -> NDArray[np.uint64]:
    """The lowest latency of each bucket of the core's histogram, in nanoseconds."""
    buckets = range(lib.RW_HISTOGRAM_BUCKETS)
    return np.array([lib.rw_histogram_value(bucket) for bucket in buckets], dtype=np.uint64)


def _series(run: Any, length: int) -> list[int]:
    series = ffi.new("uint64_t[]", max(length, 1))
    lib.rw_run_series(run, series, length)
    return [int(value) for value in ffi.unpack(series, length)]


def _latency(counts: NDArray[np.uint64], result: Any, operations: int) -> Latency | None:
    if not operations:
        return None
    return latency_of_histogram(
        counts,
        bucket_values(),
        lowest=result.latency_min_ns,
        mean=result.latency_sum_ns / operations,
        highest=result.latency_max_ns,
    )


def _cpu(result: Any, operations: int) -> CpuPerIo | None:
    if not operations:
        return None
    return CpuPerIo(
        user=result.user_ns / operations,
        system=result.system_ns / operations,
        helpers=result.helper_ns / operations,
    )


def _counters(result: Any) -> Counters:
    counters = result.counters
    return Counters(
        syscalls=counters.syscalls,
        doorbells=counters.doorbells,
        copies=counters.copies,
        punts=None if result.punts < 0 else result.punts,
        retries=counters.retries,
    )
