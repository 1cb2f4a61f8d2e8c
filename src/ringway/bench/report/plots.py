"""The page's pictures: IOPS over depth, latency percentiles, CPU per I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..record import Cell, Comparison
from ..units import format_count, format_ns
from .drawing import (
    HELPERS,
    INK,
    PAPER,
    SERIES,
    STYLE,
    SYSTEM,
    USER,
    legend_below,
    panels,
    series_colour,
    svg_of,
    tick_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PARTS = (
    ("user", USER, "program"),
    ("system", SYSTEM, "kernel"),
    ("helpers", HELPERS, "helper threads"),
)
_MARKERS = "osD^vPXph*"
_PERCENTILES = (
    ("p50", "p50"),
    ("p90", "p90"),
    ("p99", "p99"),
    ("p99_9", "p99.9"),
    ("p99_99", "p99.99"),
    ("max", "max"),
)


@dataclass(frozen=True)
class Picture:
    """An SVG with the words for those who do not see it."""

    title: str
    caption: str
    svg: str


def pictures(comparison: Comparison) -> list[Picture]:
    """IOPS over depth, latency percentiles and CPU per I/O. Needs matplotlib."""
    import matplotlib

    cells = comparison.cells
    if not cells:
        return []
    colours = _colours(cells)
    with matplotlib.rc_context(STYLE):
        return [
            _iops_over_depth(cells, colours),
            _latency(cells, colours),
            _cpu(cells),
        ]


def _colours(cells: Sequence[Cell]) -> dict[str, int]:
    """One series colour for each path; fio wears the colour of the path it is the referee of."""
    names = dict.fromkeys(_series(cell) for cell in cells)
    return {name: index % SERIES for index, name in enumerate(names)}


def _series(cell: Cell) -> str:
    return cell.path if cell.api == "native" else cell.label


def _line(cell: Cell, colours: dict[str, int]) -> dict[str, Any]:
    index = colours[_series(cell)]
    colour = series_colour(index)
    fio = cell.tool == "fio"
    return {
        "color": colour,
        "marker": _MARKERS[index],
        "markersize": 5,
        "markerfacecolor": PAPER if fio else colour,
        "linestyle": (0, (3, 2)) if fio else "-",
        "linewidth": 1.2 if fio else 1.7,
        "label": cell.label,
    }


# ---------------------------------------------------------------- panels


def _by(cells: Iterable[Cell], key: str) -> dict[str, list[Cell]]:
    parts: dict[str, list[Cell]] = {}
    for cell in cells:
        parts.setdefault(getattr(cell, key), []).append(cell)
    return parts


def _shown_groups(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Of each family the shallowest and the deepest group, under a short title."""
    shown: dict[str, list[Cell]] = {}
    for family, members in _families(cells).items():
        depths = sorted({cell.workload.depth for cell in members})
        for depth in dict.fromkeys((depths[0], depths[-1])):
            shown[f"{family}, depth {depth}"] = [
                cell for cell in members if cell.workload.depth == depth
            ]
    return shown


def _families(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Cells by family; what all families have in common is not repeated in the titles."""
    families = _by(cells, "family")
    works = {family.partition(", ")[2] for family in families}
    if len(works) > 1:
        return families
    return {family.partition(", ")[0]: members for family, members in families.items()}


def _iops_over_depth(cells: Sequence[Cell], colours: dict[str, int]) -> Picture:
    families = _families(cells)
    figure, axes = panels(list(families), 3.4)
    for panel, members in zip(axes, families.values(), strict=True):
        for line in _by(members, "label").values():
            _depth_line(panel, sorted(line, key=lambda cell: cell.workload.depth), colours)
        _depth_axes(panel, sorted({cell.workload.depth for cell in members}))
    legend_below(figure, axes)
    return Picture(
        "IOPS over depth",
        "Operations per second against operations in flight. Lines that lie on each other have "
        "the same limit, usually the device. Bars: lowest and highest repetition. Hollow and "
        "dashed: fio.",
        svg_of(figure, "IOPS over depth: " + _best_words(families)),
    )


def _depth_line(panel: Axes, line: Sequence[Cell], colours: dict[str, int]) -> None:
    middle = [cell.iops.median for cell in line]
    panel.errorbar(
        [cell.workload.depth for cell in line],
        middle,
        yerr=[
            [cell.iops.median - cell.iops.low for cell in line],
            [cell.iops.high - cell.iops.median for cell in line],
        ],
        elinewidth=1,
        capsize=2,
        **_line(line[0], colours),
    )


def _depth_axes(panel: Axes, depths: Sequence[int]) -> None:
    panel.set_xscale("log", base=2)
    panel.set_xticks(depths, [str(depth) for depth in depths])
    panel.minorticks_off()
    if len(depths) > 1:
        panel.set_xlim(depths[0] * 0.8, depths[-1] * 1.25)
    panel.set_ylim(bottom=0)
    panel.yaxis.set_major_formatter(lambda value, _: tick_text(format_count(value)))
    panel.set_xlabel("depth")
    panel.set_ylabel("IOPS")


def _best_words(families: dict[str, list[Cell]]) -> str:
    words = []
    for family, members in families.items():
        best = max(members, key=lambda cell: cell.iops.median)
        words.append(
            f"{family}: best {best.label} with {format_count(best.iops.median)} at depth "
            f"{best.workload.depth}"
        )
    return "; ".join(words)


def _latency(cells: Sequence[Cell], colours: dict[str, int]) -> Picture:
    groups = _shown_groups([cell for cell in cells if cell.latency_ns])
    figure, axes = panels(list(groups) or ["no latencies"], 3.1)
    for panel, members in zip(axes, groups.values(), strict=False):
        for cell in members:
            values = [getattr(cell.latency_ns, name) for name, _ in _PERCENTILES]
            panel.plot([label for _, label in _PERCENTILES], values, **_line(cell, colours))
        _latency_axis(panel)
    legend_below(figure, axes)
    return Picture(
        "Latency percentiles",
        "How long operations took, from submission to completion: half of them at most p50, all "
        "but one in a thousand at most p99.9. A steep rise to the right is a long tail. The "
        "scale is logarithmic.",
        svg_of(figure, "Latency percentiles: " + _latency_words(groups)),
    )


def _latency_axis(panel: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    panel.set_yscale("log")
    low, high = panel.get_ylim()
    # Over few decades the powers of ten alone leave an axis without figures.
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 2000 else (1,)))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(lambda value, _: tick_text(format_ns(value)))


def _latency_words(groups: dict[str, list[Cell]]) -> str:
    words = []
    for group, members in groups.items():
        best = min(members, key=lambda cell: cell.latency_ns.p50 if cell.latency_ns else 0.0)
        if best.latency_ns:
            words.append(f"{group}: lowest median {format_ns(best.latency_ns.p50)}, {best.label}")
    return "; ".join(words)


def _cpu(cells: Sequence[Cell]) -> Picture:
    groups = _shown_groups([cell for cell in cells if cell.cpu_ns_per_io])
    most = max((len(members) for members in groups.values()), default=1)
    figure, axes = panels(list(groups) or ["no CPU times"], 0.7 + 0.25 * most)
    for panel, members in zip(axes, groups.values(), strict=False):
        _cpu_bars(panel, members)
    legend_below(figure, axes[:1])
    return Picture(
        "CPU per I/O",
        "What one operation costs: the program's own work, the kernel's on its behalf, and that "
        "of kernel threads that helped (SQPOLL, io_uring workers). Shorter is better. A bar "
        "with a gap is not to scale.",
        svg_of(figure, "CPU per I/O: " + _cpu_words(groups)),
    )


def _cpu_bars(panel: Axes, members: Sequence[Cell]) -> None:
    rows = list(range(len(members)))[::-1]
    totals = [cell.cpu_ns_per_io.total for cell in members if cell.cpu_ns_per_io]
    # One path that burns a CPU while it waits must not flatten all the others.
    limit = min(max(totals), 4 * sorted(totals)[len(totals) // 2]) * 1.28
    shrink = [min(1.0, 0.8 * limit / total) if total else 1.0 for total in totals]
    left = [0.0] * len(members)
    for part, colour, name in _PARTS:
        widths = [
            getattr(cell.cpu_ns_per_io, part) * factor
            for cell, factor in zip(members, shrink, strict=True)
        ]
        panel.barh(rows, widths, left=left, color=colour, height=0.66, label=name, linewidth=0)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for row, end, total, factor in zip(rows, left, totals, shrink, strict=True):
        if factor < 1:
            _break(panel, end * 0.93, row, limit)
        panel.text(end + limit * 0.012, row, format_ns(total), va="center", color=INK, fontsize=8.5)
    panel.set_yticks(rows, [cell.label for cell in members])
    panel.set_xlim(0, limit)
    panel.grid(axis="y", visible=False)
    panel.locator_params(axis="x", nbins=5)
    panel.xaxis.set_major_formatter(lambda value, _: tick_text(format_ns(value)))


def _break(panel: Axes, x: float, row: float, limit: float) -> None:
    """Two slanting strokes across a bar that is not to scale."""
    for shift in (0.0, 0.012):
        panel.plot(
            [x + (shift - 0.006) * limit, x + (shift + 0.006) * limit],
            [row - 0.42, row + 0.42],
            color=PAPER,
            linewidth=2,
        )


def _cpu_words(groups: dict[str, list[Cell]]) -> str:
    words = []
    for group, members in groups.items():
        costs = {cell.label: cell.cpu_ns_per_io.total for cell in members if cell.cpu_ns_per_io}
        least = min(costs, key=lambda label: costs[label])
        words.append(f"{group}: least {format_ns(costs[least])}, {least}")
    return "; ".join(words)
