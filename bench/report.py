"""What came out: a record, a table for the terminal, a table for README.md."""

from __future__ import annotations

import datetime
import os
import platform
import re
from pathlib import Path

import msgspec
from pairs import Figure, Goal, Level
from rich.box import SIMPLE_HEAD
from rich.table import Table

#: Ends the unit of a difference, which is written with its sign.
_MORE = " more"
_COLOURS = {None: "dim", True: "green", False: "yellow"}


class Report(msgspec.Struct, kw_only=True):
    """Everything measured in one go."""

    schema: str = "ringway.peers/1"
    date: str
    machine: str
    figures: list[Figure]
    #: Command and reason.
    refused: dict[str, str]

    @classmethod
    def begun(cls) -> Report:
        date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        return cls(date=date, machine=machine(), figures=[], refused={})

    @property
    def title(self) -> str:
        return f"{self.date}, {self.machine}"


def machine() -> str:
    """The machine in a few words."""
    facts = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)", facts, re.M)
    kind = " of a virtual machine" if re.search(r"^flags.*\bhypervisor\b", facts, re.M) else ""
    kernel = ".".join(re.findall(r"\d+", platform.release())[:2])
    cpu = f", {model[1]}" if model else ""
    return f"{os.cpu_count()} CPUs{kind}{cpu}, Linux {kernel}"


def table(report: Report) -> Table:
    """For the terminal: two lines per figure, ours above the peer's."""
    shown = Table(title=report.title, title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("ours\n[dim]peer")
    for column in ("per second", "CPU ns\nper I/O", "median\n[dim]of pairs", "goal"):
        shown.add_column(column, justify="right")
    command = ""
    for figure in report.figures:
        if figure.command != command:
            command = figure.command
            shown.add_row(f"[bold]{command}")
        shown.add_row(*map("\n".join, _lines(figure)))
    return shown


def _lines(figure: Figure) -> list[tuple[str, ...]]:
    sides = (figure.our_level, figure.peer_level)[: 2 if figure.peer else 1]
    return [
        (figure.ours, *([f"[dim]{figure.peer}"] if figure.peer else [])),
        tuple(map(_rate, sides)),
        tuple(map(_cpu, sides)),
        (middle(figure), f"[dim]{spread(figure)}"),
        (goal(figure), f"[{_COLOURS[figure.met]}]{verdict(figure)}"),
    ]


def markdown(report: Report) -> str:
    """For README.md."""
    head = (
        "command",
        "ours",
        "peer",
        "per second",
        "CPU ns per I/O",
        "median",
        "lowest to highest",
        "goal",
        "",
    )
    rows = [head, ("---",) * len(head), *map(_row, report.figures)]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{report.title}:\n\n{lines}"


def _row(figure: Figure) -> tuple[str, ...]:
    sides = (figure.our_level, figure.peer_level)[: 2 if figure.peer else 1]
    return (
        f"`{figure.command}`",
        figure.ours,
        figure.peer,
        " / ".join(map(_rate, sides)),
        " / ".join(map(_cpu, sides)),
        middle(figure),
        spread(figure),
        goal(figure),
        verdict(figure),
    )


def _rate(level: Level | None) -> str:
    if level is None:
        return "–"
    for least, unit in ((1e6, "M"), (1e3, "k")):
        if level.rate >= least:
            return f"{level.rate / least:.3g}{unit}"
    return f"{level.rate:.0f}"


def _cpu(level: Level | None) -> str:
    return f"{level.cpu_ns:.0f}" if level and level.cpu_ns else "–"


def middle(figure: Figure) -> str:
    """The median with its unit."""
    return f"{_number(figure.median, figure.unit)}{_suffix(figure.unit)}"


def spread(figure: Figure) -> str:
    """Lowest and highest of the pairs."""
    if len(figure.values) == 1:
        return "exact"
    low, high = (_number(value, figure.unit) for value in (min(figure.values), max(figure.values)))
    return f"{low} to {high}"


def goal(figure: Figure) -> str:
    """What was wanted."""
    wanted: Goal | None = figure.goal
    if wanted is None:
        return ""
    if wanted.kind == "within":
        return f"within {wanted.limit:.0%}"
    return f"{wanted.kind} {wanted.limit:{_sign(figure.unit)}g}{_suffix(figure.unit)}"


def verdict(figure: Figure) -> str:
    """Met, or by how much it was missed."""
    if figure.goal is None:
        return "for the record"
    if figure.met:
        return "met"
    short = figure.goal.miss(figure.median)
    if figure.goal.kind == "within":
        return f"missed by {short:.1%}"
    if figure.unit == "×":
        return f"missed by {short / figure.goal.limit:.0%}"
    return f"missed by {short:.1f}{_suffix(figure.unit)}"


def _number(value: float, unit: str) -> str:
    digits = 2 if unit == "×" and value < 10 else 1
    return f"{value:{_sign(unit)}.{digits}f}"


def _sign(unit: str) -> str:
    return "+" if unit.endswith(_MORE) else ""


def _suffix(unit: str) -> str:
    return unit if unit == "×" else f" {unit.removesuffix(_MORE)}"
