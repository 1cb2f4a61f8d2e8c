"""How the page's figures look: style, panels, legends, and SVG without fixed colours.

Every colour in a figure is a placeholder that becomes a CSS variable of the page, which has a
light and a dark value for each; text stays text, to be read aloud, searched and copied.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Series colours of the page: --s0 to --s9.
SERIES = 10
INK, MUTED, GRID, PAPER = "#0a0a01", "#0a0a02", "#0a0a03", "#0a0a04"
USER, SYSTEM, HELPERS = "#0a0a05", "#0a0a06", "#0a0a07"
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--card",
    USER: "--cpu-user",
    SYSTEM: "--cpu-system",
    HELPERS: "--cpu-helpers",
}
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "hatch.linewidth": 0.8,
}
_PANEL_COLUMNS = 2


def series_colour(index: int) -> str:
    """The placeholder for a series; indices below SERIES."""
    return f"#0a0b{index:02x}"


def panels(names: Sequence[str], height: float) -> tuple[Figure, list[Axes]]:
    """A figure with a titled panel for each name, two beside each other; height in inches."""
    from matplotlib.figure import Figure

    columns = min(_PANEL_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(9.6, height * rows + 0.6), layout="constrained")
    figure.set_layout_engine("constrained", h_pad=0.12, w_pad=0.08)
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[len(names) :]:
        spare.set_axis_off()
    for panel, name in zip(axes, names, strict=False):
        panel.set_title(name, color=INK)
    return figure, axes[: len(names)]


def tick_text(text: str) -> str:
    """``10.0k`` and ``2.50 ms`` as an axis says them: ``10k``, ``2.5 ms``."""
    whole, _, rest = text.partition(".")
    digits = re.match(r"\d*", rest)
    part = digits[0] if digits else ""
    kept = part.rstrip("0")
    text = whole + (f".{kept}" if kept else "") + rest[len(part) :]
    return "0" if text.split()[0] == "0" else text


def legend_below(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, each label once."""
    entries: dict[str, Any] = {}
    for panel in axes:
        handles, labels = panel.get_legend_handles_labels()
        entries.update(zip(labels, handles, strict=True))
    if entries:
        figure.legend(
            entries.values(),
            entries.keys(),
            loc="outside lower center",
            ncols=min(5, len(entries)),
            fontsize=8.5,
        )


def svg_of(figure: Figure, description: str) -> str:
    """The figure as an element to put into a page: no prolog, no fixed size, no fixed colour."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": description}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(
        r' id="(?:figure|axes|patch|line2d|text|xtick|ytick|matplotlib|legend|'
        r'LineCollection|PathCollection)[\w.]*"',
        "",
        svg,
    )
    for colour, variable in _variables().items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{_attribute(description)}"', 1)


def _variables() -> dict[str, str]:
    return _VARIABLES | {series_colour(index): f"--s{index}" for index in range(SERIES)}


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
