"""Results are records before they are text: the documents ringway writes, and their schema.

Two documents, each with its version in the field ``schema``: a bench document (one run) and a
compare document (many runs, and what to conclude). Sizes are bytes, times nanoseconds unless the
name says seconds.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .workload import Workload

BENCH_SCHEMA = "ringway.bench/1"
COMPARE_SCHEMA = "ringway.compare/1"

Environment = dict[str, str | int | float | bool | list[str] | None]
Limit = Literal["device", "cpu", "path", "unclear"]
Grade = Literal["sound", "marked", "refused"]


class Warning(msgspec.Struct, frozen=True):
    """Something the reader must know, and what to do about it."""

    code: str
    message: str
    advice: str


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Of all operations, submission to completion, in nanoseconds."""

    min: float
    mean: float
    p50: float
    p90: float
    p99: float
    p99_9: float = msgspec.field(name="p99.9")
    p99_99: float = msgspec.field(name="p99.99")
    max: float


class CpuPerIo(msgspec.Struct, frozen=True, kw_only=True):
    """Nanoseconds of CPU per operation; helpers are kernel threads that worked for the run."""

    user: float
    system: float
    helpers: float

    @property
    def total(self) -> float:
        return self.user + self.system + self.helpers


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Over the measured part of the run; None: cannot be counted."""

    syscalls: int | None = None
    doorbells: int | None = None
    copies: int | None = None
    punts: int | None = None
    retries: int | None = None


class DeviceRate(msgspec.Struct, frozen=True, kw_only=True):
    """What the block device under the target counted itself while the run was measured."""

    device: str
    #: Bytes per second, reads and writes together.
    bandwidth: float
    #: Commands per second.
    commands: float
    #: Share of the time with at least one command in flight, 0 to 1.
    busy: float


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Buckets of the latency histogram that are not empty."""

    value_ns: list[int] = msgspec.field(default_factory=list)
    count: list[int] = msgspec.field(default_factory=list)


class Measurement(msgspec.Struct, kw_only=True):
    """One run of one workload over one path."""

    target: str
    #: The path with its options, for instance ``io_uring+fixed``.
    path: str
    workload: Workload
    #: Operations per second.
    iops: float
    #: Bytes per second.
    bandwidth: float
    latency_ns: Latency | None
    cpu_ns_per_io: CpuPerIo | None
    counters: Counters
    #: Length of the measured part.
    seconds: float
    tool: Literal["ringway", "fio"] = "ringway"
    #: The face of the API that was measured; native is the C loop.
    api: str = "native"
    options: list[str] = []
    why: str = ""
    operations: int = 0
    reads: int = 0
    writes: int = 0
    errors: int = 0
    verify_errors: int = 0
    interrupted: bool = False
    #: native, virtual or emulated: figures of unlike machines are never compared.
    machine: str = ""
    #: When it began, ISO 8601 in UTC.
    started: str = ""
    #: Operations in each full second.
    series: list[int] = []
    histogram: Histogram | None = None
    device: DeviceRate | None = None
    #: Settings in which this run differs from the ringway run it stands beside.
    differences: list[str] = []
    #: The job file, where fio made the run.
    job: str = ""
    warnings: list[Warning] = []


class BenchDocument(Measurement, kw_only=True, tag_field="schema", tag=BENCH_SCHEMA):
    """What ``ringway bench --json`` prints."""

    environment: Environment


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Of repetitions: the median and the extremes."""

    median: float
    low: float
    high: float
    n: int


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """Of two paths, from the pairs of each round: median and extremes of the pairs' ratios."""

    to: str
    median: float
    low: float
    high: float
    pairs: int
    #: Settings that differ; the ratio is then marked, not a verdict.
    differences: list[str] = []


class Check(msgspec.Struct, frozen=True):
    """A cross-check of a figure; `value` is what was found, about 1 where it holds."""

    name: str
    holds: bool
    value: float
    text: str


class Cell(msgspec.Struct, kw_only=True):
    """All repetitions of one path at one setting, put together."""

    group: str
    #: The setting without its depth: cells of one family make one picture.
    family: str
    label: str
    tool: str
    path: str
    api: str
    workload: Workload
    iops: Spread
    bandwidth: Spread
    latency_ns: Latency | None
    cpu_ns_per_io: CpuPerIo | None
    counters_per_io: dict[str, float]
    vs_baseline: Ratio | None = None
    #: To the fastest ringway path at this setting; None for that path and for fio.
    vs_fastest: Ratio | None = None
    vs_fio: Ratio | None = None
    checks: list[Check] = []
    errors: int = 0
    machine: str = ""
    #: Executed by the processor for one operation, counted by an emulator; None: not counted.
    instructions_per_io: float | None = None


class Verdict(msgspec.Struct, kw_only=True):
    """What to conclude for one setting, in words; `marks` says why to be careful."""

    group: str
    title: str
    grade: Grade
    statement: str
    limit: Limit = "unclear"
    winner: str | None = None
    cheapest: str | None = None
    details: list[str] = []
    marks: list[str] = []


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A path that was not measured, and why."""

    path: str
    tool: str
    where: str
    reason: str


class Round(Measurement, kw_only=True):
    """A measurement's place in the comparison."""

    group: str
    label: str
    round: int
    sequence: int


class Comparison(msgspec.Struct, kw_only=True, tag_field="schema", tag=COMPARE_SCHEMA):
    """What ``ringway compare --json FILE`` writes."""

    target: str
    created: str
    seconds: float
    workload: Workload
    repetitions: int
    summary: list[str]
    verdicts: list[Verdict]
    cells: list[Cell]
    left_out: list[LeftOut]
    warnings: list[Warning]
    interrupted: bool
    environment: Environment
    #: Every run, in the order in which they were made.
    runs: list[Round]
    #: The same on an emulated NVMe drive in a machine of its own: ratios, not speed.
    emulated: Comparison | None = None


DOCUMENTS: dict[str, type[BenchDocument] | type[Comparison]] = {
    "bench": BenchDocument,
    "compare": Comparison,
}


def to_json(document: msgspec.Struct) -> bytes:
    """The document as UTF-8 JSON with a newline at its end; indented when it is one run."""
    text = msgspec.json.encode(document)
    if isinstance(document, BenchDocument):
        text = msgspec.json.format(text, indent=2)
    return text + b"\n"


def from_json(text: bytes) -> BenchDocument | Comparison:
    """A document that was written before. Raises msgspec.ValidationError for any other text."""
    return msgspec.json.decode(text, type=BenchDocument | Comparison)


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of ``bench`` or ``compare`` documents."""
    schema = msgspec.json.schema(DOCUMENTS[kind])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
