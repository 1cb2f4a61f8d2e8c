"""Judgement on one setting: which path, what limits it, and how far to trust that."""

from __future__ import annotations

from collections.abc import Sequence

from .checks import FULL, unlike_machines, unlike_work
from .plan import Group
from .record import Cell, Environment, Limit, Verdict
from .stats import relative_spread
from .units import format_ratio
from .words import cpu_total, details_of, listed, statement_of

#: Paths within this share of the fastest are not told apart; nor are those that were as fast in
#: one round or more, within the second share; nor within the third where there was one round.
_TIE = 0.05
_CONTESTED_TIE = 0.25
_SINGLE_TIE = 0.10
_NOISY = 0.15
#: fio is clearly faster from this share on.
_BEATEN = 0.15
_FEW = 3
#: A thread that computes this share of its time has no time left to wait.
_BUSY = 0.9
#: One with nothing to wait for that computes less than this was kept from it.
_STARVED = 0.8


def verdict_of(
    group: Group, cells: Sequence[Cell], environment: Environment, repetitions: int
) -> Verdict:
    """The verdict on one setting; refused where its cells did unlike work."""
    apart = _unlike(cells)
    if apart:
        return _refused(group, "the runs are not alike: " + "; ".join(apart))
    ours = [cell for cell in cells if in_the_race(cell)]
    if not ours:
        return _refused(group, "no path completed without errors")
    winner = max(ours, key=lambda cell: cell.iops.median)
    tied = tied_with(winner, ours)
    cheapest = min(tied, key=cpu_total)
    faster = _faster_referee(winner, cells)
    limit: Limit = "unclear" if faster else limit_of(winner, tied, ours)
    marks = _marks(winner, cells, environment, repetitions)
    return Verdict(
        group=group.key,
        title=group.title,
        grade="marked" if marks else "sound",
        limit=limit,
        winner=winner.label,
        cheapest=cheapest.label,
        statement=statement_of(winner, tied, ours, limit),
        details=details_of(winner, cheapest, ours),
        marks=marks,
    )


def in_the_race(cell: Cell) -> bool:
    """Ringway's own cells without errors; fio is the referee."""
    return cell.tool == "ringway" and not cell.errors


def _faster_referee(winner: Cell, cells: Sequence[Cell]) -> Cell | None:
    """A run of fio's that got clearly more out of the target: then the limit is not the target."""
    referees = [cell for cell in cells if cell.tool == "fio" and not cell.errors]
    best = max(referees, key=lambda cell: cell.iops.median, default=None)
    if best is None or best.iops.median <= winner.iops.median * (1 + _BEATEN):
        return None
    return best


def _refused(group: Group, reason: str) -> Verdict:
    return Verdict(
        group=group.key, title=group.title, grade="refused", statement=f"No verdict: {reason}."
    )


def _unlike(cells: Sequence[Cell]) -> list[str]:
    first = cells[0]
    return list(
        dict.fromkeys(
            f"{first.label} and {cell.label}: {difference}"
            for cell in cells[1:]
            for difference in (
                *unlike_work(first.workload, cell.workload),
                *unlike_machines(first.machine, cell.machine),
            )
        )
    )


def tied_with(winner: Cell, cells: Sequence[Cell]) -> list[Cell]:
    """The cells that the figures do not tell apart from the fastest, itself among them."""
    return [cell for cell in cells if cell is winner or _close(cell)]


def _close(cell: Cell) -> bool:
    ratio = cell.vs_fastest
    if ratio is None:
        return False
    if 1 - ratio.median <= (_SINGLE_TIE if ratio.pairs == 1 else _TIE):
        return True
    return ratio.high >= 1 and 1 - ratio.median <= _CONTESTED_TIE


def cpu_busy(cell: Cell) -> float:
    """Share of its time for which a thread of the run computes."""
    if cell.cpu_ns_per_io is None:
        return 0.0
    own = cell.cpu_ns_per_io.user + cell.cpu_ns_per_io.system
    return own * cell.iops.median / 1e9 / cell.workload.threads


def limit_of(winner: Cell, tied: Sequence[Cell], ours: Sequence[Cell]) -> Limit:
    """What keeps the fastest path from being faster.

    A thread without a moment to spare is limited by the CPU. Otherwise, where the queue is full
    all the time, every operation waits for the device; where it is not, the path does not fill
    it. Threads that spin while they wait look busy, so unlike paths that arrive at the same
    figure count as well: what they share is the device, unless none of them had time to spare.
    """
    if not winner.workload.direct:
        return "cpu" if _check(winner, "page-cache", missing=True) else "unclear"
    if _check(winner, "device-counters", missing=None) is None:
        return "cpu" if cpu_busy(winner) >= _BUSY else "unclear"
    if not _check(winner, "device-counters", missing=False):
        return "unclear"
    idle = min(cpu_busy(cell) for cell in tied) < _BUSY
    if len({cell.path for cell in tied}) >= min(3, len(ours)) and len(tied) > 1 and idle:
        return "device"
    if cpu_busy(winner) >= _BUSY:
        return "cpu"
    return "device" if _queue_share(winner) >= FULL else "path"


def _queue_share(cell: Cell) -> float:
    return next((check.value for check in cell.checks if check.name == "queue-filled"), 1.0)


def _check(cell: Cell, name: str, missing: bool | None) -> bool | None:
    return next((check.holds for check in cell.checks if check.name == name), missing)


def _starved(winner: Cell) -> bool:
    """Nothing to wait for, and yet the threads did not run: something else had their CPU."""
    cpu = winner.cpu_ns_per_io
    if cpu is None or cpu.helpers or winner.workload.rate:
        return False
    return _check(winner, "page-cache", missing=False) is True and cpu_busy(winner) < _STARVED


def _marks(
    winner: Cell, cells: Sequence[Cell], environment: Environment, repetitions: int
) -> list[str]:
    marks = []
    if winner.iops.n < min(_FEW, repetitions) or repetitions < _FEW:
        marks.append(f"repetitions: only {winner.iops.n}; use --repetitions {_FEW} or more")
    if relative_spread(winner.iops) > _NOISY:
        marks.append(
            f"repetitions differ by ±{relative_spread(winner.iops):.0%}: measure longer, "
            "with nothing else running"
        )
    if _starved(winner):
        marks.append(
            f"its threads ran only {cpu_busy(winner):.0%} of the time, with nothing to "
            "wait for: something else used their CPU"
        )
    if winner.vs_fio and winner.vs_fio.differences:
        marks.append(f"against fio: {'; '.join(winner.vs_fio.differences)}")
    faster = _faster_referee(winner, cells)
    if faster:
        ratio = faster.iops.median / winner.iops.median
        marks.append(
            f"{faster.label} reaches {format_ratio(ratio)} of {winner.label}: the limit "
            "is not the target"
        )
    if environment.get("machine") == "emulated":
        marks.append("an emulated machine shows instruction counts, not hardware time")
    failed = [cell.label for cell in cells if cell.errors]
    if failed:
        marks.append(f"operations failed on {listed(failed)}")
    broken = [check.text for check in winner.checks if not check.holds]
    return marks + broken
