"""Runs a plan, and puts the repetitions together: medians, spreads, ratios, cross-checks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Protocol

import msgspec

from .checks import checks_of, unlike
from .executor import Executor, RunError, Status, now, reason_of
from .fio import equivalent
from .plan import PLACES, Group, Plan, Step, Variant, fio_label
from .record import (
    Cell,
    Comparison,
    Counters,
    CpuPerIo,
    Environment,
    LeftOut,
    Measurement,
    Ratio,
    Round,
    Warning,
)
from .scratch import warm_cache
from .stats import median_latency, paired_ratio, spread
from .verdict import in_the_race, verdict_of
from .words import summarise

BASELINE = "posix"


class Watcher(Protocol):
    """Looks on while a comparison runs; `status` answers whether to go on."""

    def begin(self, step: Step) -> None: ...
    def status(self, step: Step, status: Status) -> bool: ...
    def end(self, step: Step, measurement: Measurement | None) -> None: ...


class Executors(Protocol):
    """Finds the executor for a tool and a face of the API."""

    def of(self, tool: str, api: str) -> Executor: ...


class _Record:
    """What a comparison has gathered so far."""

    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.failed: dict[tuple[Variant, bool], str] = {}
        self.interrupted = False
        self.warm = False

    def add(self, step: Step, measurement: Measurement) -> None:
        fields = {name: getattr(measurement, name) for name in Measurement.__struct_fields__}
        self.rounds.append(
            Round(
                **fields,
                group=step.group.key,
                label=step.variant.label,
                round=step.round,
                sequence=len(self.rounds) + 1,
            )
        )


def run_plan(
    plan: Plan,
    executors: Executors,
    watcher: Watcher,
    environment: Environment,
    warnings: Sequence[Warning] = (),
) -> Comparison:
    """Every step in order; a path that fails is dropped, and the others go on.

    Interrupted, it keeps what was measured.
    """
    begin, created, record = time.monotonic(), now(), _Record()
    for step in plan.steps:
        if (step.variant, step.spec.workload.direct) in record.failed:
            continue
        if not step.spec.workload.direct and not record.warm:
            _warm(step, watcher, record)
        _run_step(step, executors, watcher, record)
        if record.interrupted:
            break
    return put_together(
        plan,
        record.rounds,
        environment,
        created=created,
        seconds=time.monotonic() - begin,
        left_out=[*plan.left_out, *_failures(record)],
        interrupted=record.interrupted,
        warnings=warnings,
    )


def _warm(step: Step, watcher: Watcher, record: _Record) -> None:
    """Page-cached runs measure the page cache, so the range is in it before the first."""
    work = step.spec.workload
    watcher.begin(step)
    warm_cache(step.spec.target, work.offset, work.span, lambda _: watcher.status(step, Status()))
    record.warm = True


def _run_step(step: Step, executors: Executors, watcher: Watcher, record: _Record) -> None:
    watcher.begin(step)
    measurement: Measurement | None = None
    try:
        executor = executors.of(step.variant.tool, step.variant.api)
        measurement = executor.run(step.spec, lambda status: watcher.status(step, status))
    except KeyboardInterrupt:
        record.interrupted = True
    except (RunError, OSError) as error:
        record.failed[step.variant, step.spec.workload.direct] = reason_of(error)
    if measurement is not None:
        record.interrupted = measurement.interrupted
        if measurement.operations and not _too_short(measurement):
            record.add(step, measurement)
    watcher.end(step, measurement)


def _too_short(measurement: Measurement) -> bool:
    """A run that was stopped before it could say anything."""
    return measurement.interrupted and measurement.seconds < measurement.workload.runtime / 4


def _failures(record: _Record) -> list[LeftOut]:
    return [
        LeftOut(
            path=variant.path, tool=variant.tool, where=PLACES[direct], reason=f"failed: {reason}"
        )
        for (variant, direct), reason in record.failed.items()
    ]


def put_together(
    plan: Plan,
    rounds: list[Round],
    environment: Environment,
    *,
    created: str,
    seconds: float,
    left_out: list[LeftOut],
    interrupted: bool,
    warnings: Sequence[Warning] = (),
) -> Comparison:
    """The document of what was measured."""
    groups = {step.group.key: step.group for step in plan.steps}
    cells = _cells(rounds, groups)
    verdicts = [
        verdict_of(
            groups[key],
            [cell for cell in cells if cell.group == key],
            environment,
            plan.request.repetitions,
        )
        for key in dict.fromkeys(cell.group for cell in cells)
    ]
    return Comparison(
        target=plan.request.target,
        created=created,
        seconds=seconds,
        workload=plan.request.workload,
        repetitions=plan.request.repetitions,
        summary=summarise(cells, verdicts),
        verdicts=verdicts,
        cells=cells,
        left_out=left_out,
        warnings=_unique([*warnings, *(w for one in rounds for w in one.warnings)]),
        interrupted=interrupted,
        environment=environment,
        runs=rounds,
    )


def _unique(warnings: Sequence[Warning]) -> list[Warning]:
    """The first of each kind; runs repeat themselves."""
    return list({warning.code: warning for warning in reversed(warnings)}.values())[::-1]


def _cells(rounds: list[Round], groups: dict[str, Group]) -> list[Cell]:
    """Every path at every setting, in the order of its first run."""
    places: dict[tuple[str, str], list[Round]] = {}
    for one in rounds:
        places.setdefault((one.group, one.label), []).append(one)
    cells = [_cell(groups[key], label, runs) for (key, label), runs in places.items()]
    for cell in cells:
        _relate(cell, _fastest(cell.group, cells), places)
    return cells


def _fastest(group: str, cells: list[Cell]) -> Cell | None:
    mine = [cell for cell in cells if cell.group == group and in_the_race(cell)]
    return max(mine, key=lambda cell: cell.iops.median, default=None)


def _cell(group: Group, label: str, runs: list[Round]) -> Cell:
    first = runs[0]
    return Cell(
        group=group.key,
        family=group.family,
        label=label,
        tool=first.tool,
        path=first.path,
        api=first.api,
        workload=first.workload,
        iops=spread([one.iops for one in runs]),
        bandwidth=spread([one.bandwidth for one in runs]),
        latency_ns=median_latency([one.latency_ns for one in runs if one.latency_ns]),
        cpu_ns_per_io=_median_cpu([one.cpu_ns_per_io for one in runs if one.cpu_ns_per_io]),
        counters_per_io=_counters_per_io(runs),
        checks=checks_of(runs),
        errors=sum(one.errors + one.verify_errors for one in runs),
        machine=first.machine,
    )


def _median_cpu(found: list[CpuPerIo]) -> CpuPerIo | None:
    """The repetition whose total is the median, so that the parts belong together."""
    return sorted(found, key=lambda cpu: cpu.total)[len(found) // 2] if found else None


def _counters_per_io(runs: list[Round]) -> dict[str, float]:
    counters: dict[str, float] = {}
    for name in Counters.__struct_fields__:
        values = [
            getattr(one.counters, name) / one.operations
            for one in runs
            if getattr(one.counters, name) is not None and one.operations
        ]
        if values:
            counters[name] = median(values)
    return counters


def _relate(cell: Cell, fastest: Cell | None, places: dict[tuple[str, str], list[Round]]) -> None:
    if cell.tool == "fio":
        return
    if fastest is not None and cell is not fastest:
        cell.vs_fastest = _ratio(cell, fastest.label, places, ())
    if cell.label != BASELINE:
        cell.vs_baseline = _ratio(cell, BASELINE, places, ())
    same = equivalent(cell.path)
    if same is not None:
        cell.vs_fio = _ratio(cell, fio_label(same.path), places, same.differences)


def _ratio(
    cell: Cell,
    other: str,
    places: dict[tuple[str, str], list[Round]],
    differences: Sequence[str],
) -> Ratio | None:
    ours = {one.round: one for one in places[cell.group, cell.label]}
    theirs = {one.round: one for one in places.get((cell.group, other), ())}
    both = [number for number in ours if number in theirs]
    if not both:
        return None
    apart = unlike(ours[both[0]], theirs[both[0]])
    pairs = [(ours[number].iops, theirs[number].iops) for number in both]
    return paired_ratio(other, pairs, [*differences, *apart])


def replace_target(comparison: Comparison, target: str) -> Comparison:
    """The same document under another name of the target, for a file that had none."""
    runs = [msgspec.structs.replace(one, target=target) for one in comparison.runs]
    return msgspec.structs.replace(comparison, target=target, runs=runs)
