"""The report as one HTML page that needs no network."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..environment import FACTS
from ..record import Cell, Comparison, CpuPerIo, Ratio, Spread, Verdict
from ..stats import relative_spread
from ..units import format_count, format_ns, format_ratio, format_seconds, format_size
from ..workload import describe
from .plots import pictures
from .table import rounds

_SIZES = ("memory", "device_size")
_LIMIT_WORDS = {
    "device": "the device is the limit",
    "cpu": "the CPU is the limit",
    "path": "the path is the limit",
    "unclear": "limit unclear",
}
_GRADE_WORDS = {"sound": "", "marked": "with care", "refused": "refused"}


def plotting_missing() -> str | None:
    """What to install before a page can be made; None when nothing is missing."""
    if find_spec("matplotlib") is not None:
        return None
    return "the page's pictures need matplotlib; install it: pip install 'ringway[plot]'"


def to_html(comparison: Comparison) -> str:
    """The whole page. Needs matplotlib."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=format_count,
        ns=format_ns,
        ratio=format_ratio,
        seconds=format_seconds,
        size=format_size,
    )
    return environment.get_template("page.html.j2").render(
        c=comparison,
        main=_view(comparison, ""),
        emulated=_view(comparison.emulated, "emulated-") if comparison.emulated else None,
    )


def _view(comparison: Comparison, prefix: str) -> dict[str, Any]:
    """What the template shows of a comparison; the prefix makes its anchors unique in the page."""
    return {
        "c": comparison,
        "id": prefix,
        "work": describe(comparison.workload),
        "groups": [_group(comparison, verdict) for verdict in comparison.verdicts],
        "pictures": pictures(comparison),
        "facts": _facts(comparison),
        "place": _place(comparison),
        "jobs": _jobs(comparison),
        "rounds": rounds(comparison.repetitions),
    }


def _place(comparison: Comparison) -> str:
    facts = comparison.environment
    keys = ("device", "device_kind", "device_model", "filesystem", "kernel", "cpu", "machine")
    words = {"machine": "{} machine", "kernel": "Linux {}"}
    return " · ".join(words.get(key, "{}").format(facts[key]) for key in keys if facts.get(key))


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    labels = {fact.key: fact.label for fact in FACTS}
    return [
        (labels.get(key, key), _fact(key, value)) for key, value in comparison.environment.items()
    ]


def _fact(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) if key == "mount_options" else "; ".join(value)
    if key in _SIZES:
        return format_size(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _jobs(comparison: Comparison) -> list[tuple[str, str]]:
    """The first job file of each of fio's columns."""
    jobs: dict[str, str] = {}
    for one in comparison.runs:
        if one.job:
            jobs.setdefault(one.label, one.job)
    return list(jobs.items())


def _group(comparison: Comparison, verdict: Verdict) -> dict[str, Any]:
    cells = [cell for cell in comparison.cells if cell.group == verdict.group]
    most = max((cell.iops.high for cell in cells), default=1.0) or 1.0
    costs = sorted(cell.cpu_ns_per_io.total for cell in cells if cell.cpu_ns_per_io)
    dearest = min(costs[-1], 4 * costs[len(costs) // 2]) if costs else 1.0
    return {
        "verdict": verdict,
        "limit": _LIMIT_WORDS[verdict.limit],
        "grade": _GRADE_WORDS[verdict.grade],
        "rows": [_row(cell, verdict, most, dearest or 1.0) for cell in cells],
        "starred": _starred(cells),
        "counted": any(cell.instructions_per_io for cell in cells),
    }


def _starred(cells: list[Cell]) -> list[str]:
    """What each star in the table stands for."""
    ratios = [
        (cell.label, ratio)
        for cell in cells
        for ratio in (cell.vs_baseline, cell.vs_fio)
        if ratio and ratio.differences
    ]
    return [
        f"{label} against {ratio.to}, {', '.join(ratio.differences)}" for label, ratio in ratios
    ]


def _row(cell: Cell, verdict: Verdict, most: float, dearest: float) -> dict[str, Any]:
    return {
        "cell": cell,
        "winner": cell.label == verdict.winner,
        "cheapest": cell.label == verdict.cheapest,
        "bar": _bar(cell.iops, most),
        "spread": f"±{relative_spread(cell.iops):.0%}" if cell.iops.n > 1 else "",
        "baseline": _ratio(cell.vs_baseline),
        "fio": _ratio(cell.vs_fio),
        "cpu": _cpu(cell.cpu_ns_per_io, dearest),
        "calls": cell.counters_per_io.get("syscalls"),
        "failed": [check.text for check in cell.checks if not check.holds],
    }


def _bar(iops: Spread, most: float) -> dict[str, float]:
    """Percent of the column's width: the median, and where the extremes lie."""
    return {
        "median": 100 * iops.median / most,
        "low": 100 * iops.low / most,
        "width": 100 * (iops.high - iops.low) / most,
    }


def _ratio(ratio: Ratio | None) -> dict[str, Any] | None:
    if ratio is None:
        return None
    return {
        "text": format_ratio(ratio.median),
        "range": f"{ratio.low:.2f} to {ratio.high:.2f}",
        "star": bool(ratio.differences),
    }


def _cpu(cpu: CpuPerIo | None, dearest: float) -> dict[str, Any] | None:
    if cpu is None:
        return None
    # A bar that would leave the cell is cut; its figure stands beside it.
    scale = 100 / max(dearest, 1e-9)
    cut = min(1.0, dearest / cpu.total) if cpu.total else 1.0
    parts = {name: getattr(cpu, name) * scale * cut for name in ("user", "system", "helpers")}
    return {"text": format_ns(cpu.total), "parts": parts, "cut": cut < 1.0}
