"""What a Python caller gets: the same workload through each face of the API."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .environment import machine_kind
from .executor import APIS, Progress, RunSpec, SpecError, Status, now
from .meter import DeviceMeter, HelperMeter
from .record import Counters, CpuPerIo, Measurement, Warning
from .stats import latency_of_samples
from .workload import Workload

_POLL = 0.1
_RUSAGE_THREAD = resource.RUSAGE_THREAD


class ApiExecutor:
    """Runs workloads from Python: whole batches, an explicit queue, single calls, or awaits."""

    def run(self, spec: RunSpec, progress: Progress) -> Measurement:
        from .faces import FACES

        _refuse(spec)
        started, face = now(), FACES[spec.api]
        with _pinned(spec.workload.cpu), face(spec) as work:
            meter = _Meter(spec, progress)
            try:
                work.loop(meter)
            except KeyboardInterrupt:
                meter.interrupted = True
            meter.end()
            return _measurement(spec, work.device, meter, started)


def _refuse(spec: RunSpec) -> None:
    """Says what only the native loop can do."""
    work = spec.workload
    if spec.api not in APIS or spec.api == "native":
        raise SpecError(f"{spec.api} is no face of the API; there are: {', '.join(APIS)}")
    for asked, what in (
        (work.rw in ("rw", "randrw"), "a mix of reads and writes"),
        (work.threads > 1, "more than one thread"),
        (work.rate > 0, "a rate limit"),
        (work.zipf > 0, "zipf offsets"),
        (work.verify, "verification"),
    ):
        if asked:
            raise SpecError(
                f"--api {spec.api} measures single calls from one thread, and not "
                f"{what}; use --api native for that"
            )


@contextmanager
def _pinned(cpu: int | None) -> Iterator[None]:
    """The calling thread on one CPU for a while."""
    before = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def offsets_of(work: Workload, size: int, count: int, first: int) -> NDArray[np.int64]:
    """`count` byte offsets, the ones after `first`: random or in sequence within the range."""
    blocks = (work.span or size - work.offset) // work.bs
    if blocks < 1:
        raise SpecError(f"the range holds no block of {work.bs} bytes; choose another offset or bs")
    if work.random:
        generator = np.random.default_rng((work.seed, first))
        places = generator.integers(0, blocks, count, dtype=np.int64)
    else:
        places = np.arange(first, first + count, dtype=np.int64) % blocks
    return np.asarray(places * work.bs + work.offset, dtype=np.int64)


@dataclass
class _Usage:
    """CPU seconds of the calling thread."""

    user: float
    system: float

    @classmethod
    def now(cls) -> _Usage:
        used = resource.getrusage(_RUSAGE_THREAD)
        return cls(used.ru_utime, used.ru_stime)


@dataclass
class _Meter:
    """Counts what a face has done, ends the ramp, says when to stop."""

    spec: RunSpec
    progress: Progress
    operations: int = 0
    errors: int = 0
    moved: int = 0
    interrupted: bool = False
    error: str = ""
    seconds: float = 0.0
    cpu: _Usage = field(default_factory=lambda: _Usage(0.0, 0.0))

    def __post_init__(self) -> None:
        self.device = DeviceMeter.under(self.spec.target, self.spec.path or "")
        self.helpers = HelperMeter(os.getpid())
        self.latencies: list[NDArray[np.int64]] = []
        self._ramping = True
        self._begin = time.perf_counter()
        self._told = 0.0
        self._cpu = _Usage.now()
        self._thread = threading.get_ident()

    def add(self, latencies: NDArray[np.int64], moved: int, errors: int = 0) -> bool:
        """Takes what was done since the last call; answers whether there is more to do."""
        moment = time.perf_counter()
        if self._ramping:
            return self._ramp(moment)
        self.operations += len(latencies)
        self.errors += errors
        self.moved += moved
        self.latencies.append(latencies)
        return self._tell(moment) and not self._over(moment)

    def _ramp(self, moment: float) -> bool:
        if moment - self._begin >= self.spec.workload.ramp:
            self._ramping, self._begin, self._cpu = False, moment, _Usage.now()
            self.sample()
        return self._tell(moment)

    def _over(self, moment: float) -> bool:
        work = self.spec.workload
        by_time = bool(work.runtime) and moment - self._begin >= work.runtime
        return by_time or (bool(work.total) and self.moved >= work.total)

    def _tell(self, moment: float) -> bool:
        if moment - self._told < _POLL:
            return True
        self._told = moment
        if not self._ramping:
            self.sample()
        seconds = 0.0 if self._ramping else moment - self._begin
        self.interrupted = not self.progress(Status(seconds, self.operations, self._ramping))
        return not self.interrupted

    def sample(self) -> None:
        self.device.sample()
        self.helpers.sample()

    def end(self) -> None:
        """Stops the clocks."""
        if self._ramping:
            return
        self.seconds = time.perf_counter() - self._begin
        used = _Usage.now()
        self.cpu = _Usage(used.user - self._cpu.user, used.system - self._cpu.system)


def _measurement(spec: RunSpec, device: Any, meter: _Meter, started: str) -> Measurement:
    samples = np.concatenate(meter.latencies) if meter.latencies else np.empty(0, np.int64)
    seconds, operations = meter.seconds, meter.operations
    return Measurement(
        target=spec.target,
        path=spec.path or "+".join((device.path, *device.options)),
        options=list(device.options),
        why=device.why,
        api=spec.api,
        workload=spec.workload,
        iops=operations / seconds if seconds else 0.0,
        bandwidth=meter.moved / seconds if seconds else 0.0,
        latency_ns=latency_of_samples(samples),
        cpu_ns_per_io=_cpu(meter),
        counters=Counters(),
        seconds=seconds,
        operations=operations,
        reads=0 if spec.workload.writes else operations,
        writes=operations if spec.workload.writes else 0,
        errors=meter.errors,
        interrupted=meter.interrupted,
        machine=machine_kind(),
        started=started,
        device=meter.device.rate(),
        warnings=_warnings(meter),
    )


def _cpu(meter: _Meter) -> CpuPerIo | None:
    if not meter.operations:
        return None
    scale = 1e9 / meter.operations
    return CpuPerIo(
        user=meter.cpu.user * scale,
        system=meter.cpu.system * scale,
        helpers=meter.helpers.share() * meter.seconds * scale,
    )


def _warnings(meter: _Meter) -> list[Warning]:
    if not meter.errors:
        return []
    return [
        Warning(
            "io-error",
            f"{meter.errors} operations failed",
            "look at the kernel log, and at the target's health",
        )
    ]
