"""What a comparison will run, in which order, and what it leaves out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from ..paths import Catalog, PathSpec, order_key
from .executor import RunSpec, Tool
from .fio import Equivalent, equivalent
from .record import LeftOut
from .units import format_bs
from .workload import PATTERN_WORDS, Pattern, Workload

#: Options that belong together, measured beside each option alone.
_TOGETHER = (("fixed", "defer"),)
#: What starting and ending a run takes beside its own time, in seconds.
_OVERHEAD: dict[Tool, float] = {"ringway": 0.1, "fio": 0.4}
BUFFERING = {"direct": True, "cached": False}
PLACES = {True: "O_DIRECT", False: "Page-cached"}


@dataclass(frozen=True)
class CompareRequest:
    """What the user asked to be compared."""

    target: str
    workload: Workload
    paths: Sequence[str] | None = None
    depths: Sequence[int] = (1, 32)
    buffering: Sequence[str] = ("direct", "cached")
    block_sizes: Sequence[int] | None = None
    patterns: Sequence[Pattern] | None = None
    apis: Sequence[str] = ("native",)
    repetitions: int = 3
    fio: bool = True


@dataclass(frozen=True)
class Variant:
    """One column of the comparison: a tool, a path, a face of the API."""

    tool: Tool
    path: str
    api: str = "native"

    @property
    def label(self) -> str:
        """``io_uring+fixed``, ``io_uring [asyncio]``, ``fio io_uring+fixed``."""
        if self.tool == "fio":
            return fio_label(self.path)
        return self.path if self.api == "native" else f"{self.path} [{self.api}]"


def fio_label(path: str) -> str:
    """fio's name for a path; deferred task run is not an option of fio's, so it is not told."""
    engine, *options = path.split("+")
    words = [{"posix": "psync"}.get(engine, engine), *(o for o in options if o != "defer")]
    return f"fio {'+'.join(words)}"


@dataclass(frozen=True)
class Group:
    """One setting at which variants stand side by side; `place` is where the bytes come from."""

    workload: Workload
    place: str

    @property
    def key(self) -> str:
        w = self.workload
        return f"{w.rw}-{format_bs(w.bs)}-{'direct' if w.direct else 'cached'}-{w.depth}"

    @property
    def title(self) -> str:
        return f"{self.family}, depth {self.workload.depth}"

    @property
    def family(self) -> str:
        """The setting without its depth: ``O_DIRECT, 4k random reads``."""
        w = self.workload
        return f"{self.place}, {format_bs(w.bs)} {PATTERN_WORDS[w.rw]}"


@dataclass(frozen=True)
class Step:
    """One run of the comparison."""

    group: Group
    variant: Variant
    round: int
    spec: RunSpec

    @property
    def seconds(self) -> float:
        """How long it will take, about."""
        return self.spec.workload.seconds + _OVERHEAD[self.variant.tool]


@dataclass
class Plan:
    """All the steps in order, and the paths that are not among them."""

    request: CompareRequest
    steps: list[Step] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)


def make_plan(request: CompareRequest, catalog: Catalog) -> Plan:
    """Interleaves: within a buffering, every round takes each setting once over every variant."""
    plan = Plan(request)
    for word in request.buffering:
        direct = BUFFERING[word]
        place = request.target if catalog.scheme_of(request.target) else PLACES[direct]
        variants = _variants(request, catalog, direct, plan.left_out)
        for round_number in range(1, request.repetitions + 1):
            for group in _groups(request, direct, place):
                plan.steps.extend(
                    _step(request, group, variant, round_number) for variant in variants
                )
    plan.left_out = _merged(plan.left_out, len(request.buffering))
    return plan


def with_runtime(plan: Plan, runtime: float) -> Plan:
    """The same plan with another runtime per run."""

    def timed(workload: Workload) -> Workload:
        return msgspec.structs.replace(workload, runtime=runtime)

    steps = [
        replace(
            step,
            group=replace(step.group, workload=timed(step.group.workload)),
            spec=step.spec.with_workload(timed(step.spec.workload)),
        )
        for step in plan.steps
    ]
    return Plan(replace(plan.request, workload=timed(plan.request.workload)), steps, plan.left_out)


def fitting_runtime(plan: Plan, budget: float) -> float:
    """Seconds per run, 0.5 to 3, with which the plan takes about `budget` seconds."""
    if not plan.steps:
        return 1.0
    fixed = sum(step.seconds - step.spec.workload.runtime for step in plan.steps)
    return round(min(3.0, max(0.5, (budget - fixed) / len(plan.steps))), 1)


def default_cpu(threads: int) -> int | None:
    """The first of `threads` neighbouring CPUs, from the end of those this process may use.

    CPU 0 is left alone where possible: interrupts are served there.
    """
    allowed = os.sched_getaffinity(0)
    for first in sorted(allowed, reverse=True):
        if all(first + index in allowed for index in range(threads)):
            return first
    return None


def _groups(request: CompareRequest, direct: bool, place: str) -> Iterator[Group]:
    base = request.workload
    for rw in request.patterns or [base.rw]:
        for bs in request.block_sizes or [base.bs]:
            for depth in request.depths:
                yield Group(
                    msgspec.structs.replace(
                        base, rw=rw, bs=bs, depth=depth, direct=direct, batch=min(base.batch, depth)
                    ),
                    place,
                )


def _step(request: CompareRequest, group: Group, variant: Variant, round_number: int) -> Step:
    work = group.workload
    if "sqpoll" in variant.path.split("+"):
        # The kernel's thread inherits the CPU of the one that made it, and they would share it.
        work = msgspec.structs.replace(work, cpu=None)
    spec = RunSpec(request.target, variant.path, work, variant.api, variant.tool)
    return Step(group, variant, round_number, spec)


# ------------------------------------------------------------- variants


def _variants(
    request: CompareRequest, catalog: Catalog, direct: bool, left_out: list[LeftOut]
) -> list[Variant]:
    specs = _wanted(request, catalog)
    usable = [spec for spec in specs if not _refusal(request, catalog, spec, direct, left_out)]
    ours = [Variant("ringway", str(spec), api) for spec in usable for api in request.apis]
    return ours + (_referees(request, usable, direct, left_out) if request.fio else [])


def _wanted(request: CompareRequest, catalog: Catalog) -> list[PathSpec]:
    if request.paths:
        specs = [catalog.parse(text) for text in request.paths]
    else:
        specs = [
            spec
            for info in catalog.serving(request.target)
            for spec in _forms(info.name, list(info.options))
        ]
    # The registry begins with the best; a comparison with the plainest.
    return sorted(dict.fromkeys(specs), key=order_key(catalog.names()[::-1]))


def _forms(name: str, options: list[str]) -> Iterable[PathSpec]:
    """The plain path, each option alone, and those that belong together."""
    yield PathSpec(name)
    for option in options:
        yield PathSpec(name, (option,))
    for together in _TOGETHER:
        if set(together) <= set(options):
            yield PathSpec(name, tuple(option for option in options if option in together))


def _refusal(
    request: CompareRequest,
    catalog: Catalog,
    spec: PathSpec,
    direct: bool,
    left_out: list[LeftOut],
) -> bool:
    reason = _spare_cpu(request, spec) or catalog.probe(
        spec, request.target, direct, request.workload.writes or _any_writes(request)
    )
    if reason is None:
        return False
    # Where the plain path is refused for a reason, its options need not repeat it.
    told = any(
        one.reason == reason and spec.name == one.path and one.where == PLACES[direct]
        for one in left_out
    )
    if not told:
        left_out.append(
            LeftOut(path=str(spec), tool="ringway", where=PLACES[direct], reason=reason)
        )
    return True


def _any_writes(request: CompareRequest) -> bool:
    return any(rw not in ("read", "randread") for rw in request.patterns or ())


def _spare_cpu(request: CompareRequest, spec: PathSpec) -> str | None:
    if "sqpoll" not in spec.options or request.paths:
        return None
    cpus, threads = len(os.sched_getaffinity(0)), request.workload.threads
    if cpus > threads:
        return None
    return (
        f"its kernel thread needs a CPU of its own, and there are {cpus} for {threads} "
        f"threads; name it with --paths to measure it all the same"
    )


def _referees(
    request: CompareRequest, usable: list[PathSpec], direct: bool, left_out: list[LeftOut]
) -> list[Variant]:
    found: dict[str, Variant] = {}
    for spec in usable:
        same = _same(request, str(spec))
        if same is None:
            left_out.append(
                LeftOut(
                    path=str(spec),
                    tool="fio",
                    where=PLACES[direct],
                    reason="fio has no engine like it",
                )
            )
        else:
            found.setdefault(same.path, Variant("fio", same.path))
    return list(found.values())


def _same(request: CompareRequest, path: str) -> Equivalent | None:
    """fio's equivalent; it cannot check ringway's pattern."""
    return None if request.workload.verify else equivalent(path)


def _merged(left_out: list[LeftOut], bufferings: int) -> list[LeftOut]:
    """One entry where the reason is the same for every buffering."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for one in left_out:
        places.setdefault((one.tool, one.path, one.reason), []).append(one.where)
    return [
        LeftOut(
            tool=tool,
            path=path,
            reason=reason,
            where="everywhere" if len(where) == bufferings else ", ".join(where),
        )
        for (tool, path, reason), where in places.items()
    ]
