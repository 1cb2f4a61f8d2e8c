"""Conclusions in words: the statement of a verdict, its details, the summary."""

from __future__ import annotations

from collections.abc import Sequence

from .checks import rate_text
from .record import Cell, Limit, Ratio, Spread, Verdict
from .units import format_count, format_ns, format_ratio

#: More names than this are told by those that are missing.
_MANY = 3
#: A depth that brings less than this is not worth a sentence.
_WORTH_TELLING = 1.1


def cpu_total(cell: Cell) -> float:
    """Nanoseconds of CPU per operation; unknown counts as most."""
    return cell.cpu_ns_per_io.total if cell.cpu_ns_per_io else float("inf")


def _baseline(cells: Sequence[Cell]) -> Cell | None:
    return next((cell for cell in cells if cell.label == "posix"), None)


def statement_of(winner: Cell, tied: Sequence[Cell], ours: Sequence[Cell], limit: Limit) -> str:
    """Which path, by how much, at what cost, and what the limit is."""
    baseline = _baseline(ours)
    if len(tied) > 1:
        return _tied_statement(winner, tied, ours, limit)
    lead = f"{winner.label} is the fastest: {spread_text(winner.iops)}"
    if winner.vs_baseline:
        lead += f", {ratio_text(winner.vs_baseline)}"
    return f"{lead}. {_cost(winner, baseline)}{_limit_text(limit)}"


def _tied_statement(winner: Cell, tied: Sequence[Cell], ours: Sequence[Cell], limit: Limit) -> str:
    baseline = _baseline(ours)
    reach = _range(min(cell.iops.median for cell in tied), winner.iops.median)
    if winner.vs_baseline and baseline not in tied:
        reach += f", {ratio_text(winner.vs_baseline)}"
    names = _names(tied, ours)
    if limit == "device":
        opening = f"The device is the limit: {names} reach {reach}."
    else:
        opening = f"Too close to call: {names}, {reach}.{_limit_text(limit)}"
    return f"{opening} {_choose(tied, baseline)}"


def _names(tied: Sequence[Cell], ours: Sequence[Cell]) -> str:
    """The tied paths, in as few words as can be."""
    rest = [cell.label for cell in ours if cell not in tied]
    if not rest:
        return "all paths"
    if len(tied) > _MANY and len(rest) < len(tied):
        return f"all paths but {listed(rest)}"
    return listed([cell.label for cell in tied])


def _choose(tied: Sequence[Cell], baseline: Cell | None) -> str:
    cheapest = min(tied, key=cpu_total)
    if cheapest.cpu_ns_per_io is None:
        return "Take the simplest of them."
    dearest = max(tied, key=cpu_total)
    text = f"Choose by CPU: {cheapest.label} spends {format_ns(cpu_total(cheapest))} per I/O"
    if dearest is not cheapest and dearest.cpu_ns_per_io:
        text += f", {dearest.label} {format_ns(cpu_total(dearest))}"
    elif baseline and baseline.cpu_ns_per_io and baseline is not cheapest:
        text += f", posix {format_ns(cpu_total(baseline))}"
    return text + "."


def _cost(cell: Cell, baseline: Cell | None) -> str:
    if cell.cpu_ns_per_io is None:
        return ""
    text = f"It spends {format_ns(cpu_total(cell))} of CPU per I/O"
    if baseline and baseline is not cell and baseline.cpu_ns_per_io:
        ratio = cpu_total(cell) / cpu_total(baseline)
        text += f", {format_ratio(ratio)} what posix does"
    return text + "."


def _limit_text(limit: Limit) -> str:
    return {
        "cpu": " The CPU is the limit, not the device: a leaner path is a faster one.",
        "path": " The path is the limit: it leaves both the device and the CPU time to spare.",
        "device": " The device is the limit: the queue was full, and the CPU had time to spare.",
        "unclear": "",
    }[limit]


def details_of(winner: Cell, cheapest: Cell, ours: Sequence[Cell]) -> list[str]:
    """What the statement rests on: the referee, the cross-checks, and who fell short."""
    details = []
    for cell in dict.fromkeys((winner.label, cheapest.label)):
        found = next(one for one in ours if one.label == cell)
        if found.vs_fio:
            details.append(f"{found.label} is {ratio_text(found.vs_fio)}.")
    details.extend(
        f"{check.text[0].upper()}{check.text[1:]}."
        for check in winner.checks
        if check.holds and (winner.workload.depth > 1 or check.name != "queue-filled")
    )
    details.extend(_laggards(winner, ours))
    return details


def _laggards(winner: Cell, ours: Sequence[Cell]) -> list[str]:
    """Paths that promise speed and do not keep the promise here."""
    found = []
    for cell in ours:
        share = cell.iops.median / winner.iops.median if winner.iops.median else 1.0
        if "+" in cell.path and share < 0.5:
            helpers = cell.cpu_ns_per_io.helpers if cell.cpu_ns_per_io else 0.0
            cost = f", with {format_ns(helpers)} per I/O in kernel threads" if helpers else ""
            found.append(f"{cell.label} reaches {share:.0%} of the fastest{cost}.")
    return found


def summarise(cells: Sequence[Cell], verdicts: Sequence[Verdict]) -> list[str]:
    """The few sentences a reader in a hurry needs."""
    lines = []
    for family in dict.fromkeys(cell.family for cell in cells):
        lines.extend(_family_lines(family, cells, verdicts))
    return lines + _referee_line(cells, verdicts)


def _family_lines(family: str, cells: Sequence[Cell], verdicts: Sequence[Verdict]) -> list[str]:
    mine = [
        cell
        for cell in cells
        if cell.family == family and cell.tool == "ringway" and not cell.errors
    ]
    groups = list(dict.fromkeys(cell.group for cell in mine))
    best = [
        max((cell for cell in mine if cell.group == group), key=lambda c: c.iops.median)
        for group in groups
    ]
    found = {verdict.group: verdict for verdict in verdicts if verdict.grade != "refused"}
    lines = []
    if len(best) > 1:
        lines.append(_depth_line(family, best))
    if best and best[-1].group in found:
        verdict = found[best[-1].group]
        lines.append(f"{verdict.title}: {verdict.statement}")
    return lines


def _depth_line(family: str, best: Sequence[Cell]) -> str:
    shallow = min(best, key=lambda cell: cell.workload.depth)
    top = max(best, key=lambda cell: cell.iops.median)
    gain = top.iops.median / shallow.iops.median if shallow.iops.median else 0.0
    if top.workload.depth == shallow.workload.depth or gain < _WORTH_TELLING:
        return (
            f"{family}: depth brings nothing here; {rate_text(shallow.iops.median)} at depth "
            f"{shallow.workload.depth}."
        )
    return (
        f"{family}: going from depth {shallow.workload.depth} to {top.workload.depth} is worth "
        f"{format_ratio(gain)} ({format_count(shallow.iops.median)} to "
        f"{rate_text(top.iops.median)})."
    )


def _referee_line(cells: Sequence[Cell], verdicts: Sequence[Verdict]) -> list[str]:
    """Where the device sets the pace, two instruments must read the same."""
    groups = {verdict.group for verdict in verdicts if verdict.limit == "device"}
    ratios = [
        cell.vs_fio.median
        for cell in cells
        if cell.group in groups and cell.vs_fio and not cell.vs_fio.differences
    ]
    if not ratios:
        return []
    span = f"{format_ratio(min(ratios))} to {format_ratio(max(ratios))}"
    return [
        f"The referee: where the device is the limit, ringway measures {span} of what fio does "
        "with the same settings."
    ]


def spread_text(s: Spread) -> str:
    """``82.1k IOPS (81.0k to 83.3k)``."""
    if s.n == 1:
        return rate_text(s.median)
    return f"{rate_text(s.median)} ({format_count(s.low)} to {format_count(s.high)})"


def ratio_text(ratio: Ratio) -> str:
    """``1.24× posix (1.20 to 1.31)``, with a star where settings differ."""
    star = "*" if ratio.differences else ""
    span = f" ({ratio.low:.2f} to {ratio.high:.2f})" if ratio.pairs > 1 else ""
    return f"{format_ratio(ratio.median)}{star} {ratio.to}{span}"


def _range(low: float, high: float) -> str:
    if format_count(low) == format_count(high):
        return rate_text(high)
    return f"{format_count(low)} to {rate_text(high)}"


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
