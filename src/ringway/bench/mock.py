"""An executor without I/O: exact figures at once, for tests of all that is built on executors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..paths import Catalog, PathInfo, PathSpec
from .executor import Progress, RunError, RunSpec, Status
from .plan import Step
from .record import Counters, CpuPerIo, DeviceRate, Latency, Measurement

#: Operations per second of a path at a depth, in the mock's world.
Model = Callable[[RunSpec], float]


def device_bound(spec: RunSpec) -> float:
    """A drive that answers in 100 µs and serves 32 requests at once, whatever the path."""
    depth = 1 if (spec.path or "").startswith("posix") else spec.workload.depth
    return 10_000.0 * min(depth, 32) * spec.workload.threads


@dataclass
class MockExecutor:
    """Answers every run from a model; remembers what it was asked.

    `fail` maps a path to the error text of its runs. With `stop_after` the user presses Ctrl-C
    during that run (counted from 1).
    """

    model: Model = device_bound
    cpu_ns: CpuPerIo = CpuPerIo(user=400.0, system=1600.0, helpers=0.0)  # noqa: RUF009
    fail: dict[str, str] = field(default_factory=dict)
    stop_after: int | None = None
    #: Called with every measurement before it is handed out; may change it.
    change: Callable[[RunSpec, Measurement], None] | None = None
    runs: list[RunSpec] = field(default_factory=list)

    def of(self, tool: str, api: str) -> MockExecutor:
        """Itself, for every tool and face: a comparison may run on one mock."""
        return self

    def run(self, spec: RunSpec, progress: Progress) -> Measurement:
        self.runs.append(spec)
        if spec.path in self.fail:
            raise RunError(self.fail[spec.path])
        iops = self.model(spec)
        seconds = spec.workload.runtime or spec.workload.total / spec.workload.bs / iops
        interrupted = len(self.runs) == self.stop_after
        if not progress(Status(seconds, round(iops * seconds), ramping=False)):
            interrupted = True
        found = self._measurement(spec, iops, seconds / 2 if interrupted else seconds, interrupted)
        if self.change:
            self.change(spec, found)
        return found

    def _measurement(
        self, spec: RunSpec, iops: float, seconds: float, interrupted: bool
    ) -> Measurement:
        work = spec.workload
        operations = round(iops * seconds)
        reads = operations * work.read_percent // 100
        return Measurement(
            tool=spec.tool,
            target=spec.target,
            path=spec.path or "io_uring",
            options=(spec.path or "").split("+")[1:],
            api=spec.api,
            workload=work,
            iops=iops,
            bandwidth=iops * work.bs,
            latency_ns=_latency(work.depth * work.threads / iops * 1e9),
            cpu_ns_per_io=self.cpu_ns,
            counters=Counters(syscalls=operations, doorbells=0, copies=0, punts=0, retries=0),
            seconds=seconds,
            operations=operations,
            reads=reads,
            writes=operations - reads,
            interrupted=interrupted,
            machine="native",
            device=DeviceRate(
                device="mock0",
                bandwidth=iops * work.bs if work.direct else 0.0,
                commands=iops if work.direct else 0.0,
                busy=1.0 if work.direct else 0.0,
            ),
            started="2000-01-01T00:00:00+00:00",
        )


class Bystander:
    """A watcher of comparisons that says nothing and never wants an end."""

    def begin(self, step: Step) -> None: ...

    def status(self, step: Step, status: Status) -> bool:
        return True

    def end(self, step: Step, measurement: Measurement | None) -> None: ...


def _latency(mean: float) -> Latency:
    return Latency(
        min=mean * 0.8,
        mean=mean,
        p50=mean * 0.98,
        p90=mean * 1.1,
        p99=mean * 1.5,
        p99_9=mean * 3,
        p99_99=mean * 6,
        max=mean * 8,
    )


def mock_catalog(refused: dict[str, str] | None = None) -> Catalog:
    """The kernel's paths as they are on a good machine, without those in `refused`."""
    refused = refused or {}

    def probe(spec: PathSpec, target: str, direct: bool, writable: bool) -> str | None:
        if "iopoll" in spec.options and not direct:
            return "iopoll needs O_DIRECT: leave out --buffered"
        return refused.get(str(spec))

    return Catalog(
        (
            PathInfo(
                "io_uring",
                "the newer asynchronous interface",
                options={
                    "fixed": "registered buffers and files",
                    "sqpoll": "a kernel thread submits",
                    "iopoll": "completions are polled for",
                    "defer": "single issuer, deferred task run",
                },
            ),
            PathInfo("libaio", "the older asynchronous interface"),
            PathInfo("posix", "pread and pwrite"),
            PathInfo("mem", "memory", "mem"),
            PathInfo("null", "completes at once", "null"),
        ),
        probe,
    )
