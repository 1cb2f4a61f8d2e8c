"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ..record import BenchDocument, Cell, Comparison, LeftOut, Measurement, Ratio, Verdict, Warning
from ..stats import relative_spread
from ..units import (
    format_bandwidth,
    format_count,
    format_ns,
    format_ratio,
    format_seconds,
    format_size,
)
from ..workload import describe

_LIMITS = {"device": "cyan", "cpu": "yellow", "path": "magenta", "unclear": "dim"}
_NONE = "–"
_COLUMNS = ("IOPS", "±", "vs posix", "vs fio", "p50", "p99", "CPU/IO", "calls/IO")
_NARROW = ("IOPS", "vs posix", "vs fio", "p50", "CPU/IO")
#: Where an emulator counted them, they say more than its times.
_COUNTED = "instr/IO"
_WIDE = 96


def comparison_view(comparison: Comparison) -> RenderableType:
    """All of a comparison: a table and a verdict for each setting, then what it comes to."""
    parts: list[RenderableType] = [_heading(comparison)]
    for verdict in comparison.verdicts:
        cells = [cell for cell in comparison.cells if cell.group == verdict.group]
        parts += [Text(), _Figures(verdict, cells), _verdict(verdict)]
    parts += _left_out(comparison.left_out)
    parts += [_warning(warning) for warning in comparison.warnings]
    if comparison.interrupted:
        parts.append(Text("Interrupted: these are the runs that were complete.", "bold yellow"))
    if comparison.summary:
        parts += [Text(), _summary(comparison.summary)]
    if comparison.emulated:
        parts += [Text(), *_emulated(comparison.emulated)]
    return Group(*parts)


def _emulated(comparison: Comparison) -> Iterator[RenderableType]:
    """The second comparison, which nobody shall take for the first."""
    kind = comparison.environment.get("machine")
    text = "Emulated NVMe drive: ratios, not speed"
    yield Rule(Text(f"{text} ({kind} machine)", "bold magenta"), style="magenta")
    yield comparison_view(comparison)


def rounds(n: int) -> str:
    """``1 round``, ``3 rounds``."""
    return f"{n} round" + ("s" if n != 1 else "")


def _heading(comparison: Comparison) -> RenderableType:
    facts = comparison.environment
    where = [
        str(facts[key])
        for key in ("device", "device_kind", "filesystem", "kernel", "cpu")
        if facts.get(key)
    ]
    return Group(
        Text(comparison.target, "bold"),
        Text(" · ".join(where), "dim"),
        Text(
            f"{rounds(comparison.repetitions)}, interleaved; {format_seconds(comparison.seconds)}",
            "dim",
        ),
    )


class _Figures:
    """The table of one setting, with as many columns as the terminal has room for."""

    def __init__(self, verdict: Verdict, cells: Sequence[Cell]) -> None:
        self._verdict = verdict
        self._cells = cells

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        columns = _COLUMNS if options.max_width >= _WIDE else _NARROW
        counted = any(cell.instructions_per_io for cell in self._cells)
        yield self._table((*columns, _COUNTED) if counted else columns)

    def _table(self, columns: Sequence[str]) -> Table:
        table = Table(
            title=escape(self._verdict.title),
            title_justify="left",
            title_style="bold",
            box=None,
            padding=(0, 1),
            header_style="dim",
        )
        table.add_column("path", no_wrap=True)
        for name in columns:
            table.add_column(name, justify="right", no_wrap=True)
        for cell in self._cells:
            row = _row(cell)
            table.add_row(
                Text(_name(cell)),
                *(row[name] for name in columns),
                style=_style(cell, self._verdict),
            )
        return table


def _name(cell: Cell) -> str:
    return cell.label + (" (errors)" if cell.errors else "")


def _style(cell: Cell, verdict: Verdict) -> str:
    if cell.tool == "fio":
        return "dim"
    return "bold green" if cell.label == verdict.winner else ""


def _row(cell: Cell) -> dict[str, str]:
    lat, cpu = cell.latency_ns, cell.cpu_ns_per_io
    calls = cell.counters_per_io.get("syscalls")
    return {
        "IOPS": format_count(cell.iops.median),
        "±": f"{relative_spread(cell.iops):.0%}" if cell.iops.n > 1 else _NONE,
        "vs posix": _ratio(cell.vs_baseline),
        "vs fio": _ratio(cell.vs_fio),
        "p50": format_ns(lat.p50) if lat else _NONE,
        "p99": format_ns(lat.p99) if lat else _NONE,
        "CPU/IO": format_ns(cpu.total) if cpu else _NONE,
        "calls/IO": f"{calls:.2f}" if calls is not None else _NONE,
        _COUNTED: format_count(cell.instructions_per_io) if cell.instructions_per_io else _NONE,
    }


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return _NONE
    return format_ratio(ratio.median) + ("*" if ratio.differences else "")


def _verdict(verdict: Verdict) -> RenderableType:
    text = Text(verdict.statement)
    for detail in verdict.details:
        text.append(f"\n{detail}", "dim")
    for mark in verdict.marks:
        text.append(f"\nTake care: {mark}.", "yellow")
    colour = "red" if verdict.grade == "refused" else _LIMITS[verdict.limit]
    return Padding(Panel(text, border_style=colour, expand=False), (0, 0, 0, 1))


def _left_out(left_out: Sequence[LeftOut]) -> Iterator[RenderableType]:
    if left_out:
        yield Text()
        yield Text("Left out", "bold")
    for one in left_out:
        name = f"fio {one.path}" if one.tool == "fio" else one.path
        where = "" if one.where == "everywhere" else f" ({one.where})"
        yield Text.from_markup(f"  [bold]{escape(name)}[/]{escape(where)}: {escape(one.reason)}")


def _warning(warning: Warning) -> RenderableType:
    return Text.from_markup(
        f"[yellow]warning[/] {escape(warning.message)}; {escape(warning.advice)}"
    )


def _summary(lines: Sequence[str]) -> RenderableType:
    text = Text()
    for index, line in enumerate(lines):
        text.append(("\n" if index else "") + "• ", "bold green").append(line)
    return Panel(text, title="In short", title_align="left", border_style="green")


# ---------------------------------------------------------------- one run


def bench_view(document: BenchDocument) -> RenderableType:
    """One run: the figures and what they rest on."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in _bench_rows(document):
        grid.add_row(name, value)
    face = "" if document.api == "native" else f" through --api {document.api}"
    return Group(
        Text.assemble((document.target, "bold"), " over ", (document.path, "bold green"), face),
        Text(describe(document.workload), "dim"),
        Padding(grid, (1, 0, 0, 1)),
        *(_warning(warning) for warning in document.warnings),
        *(
            [Text("Interrupted: what was measured until then.", "bold yellow")]
            if document.interrupted
            else []
        ),
    )


def _bench_rows(m: Measurement) -> Iterator[tuple[str, str]]:
    yield "IOPS", f"{format_count(m.iops)}  ({m.iops:,.0f})"
    yield "bandwidth", format_bandwidth(m.bandwidth)
    if m.latency_ns:
        lat = m.latency_ns
        yield (
            "latency",
            (
                f"p50 {format_ns(lat.p50)}, p90 {format_ns(lat.p90)}, "
                f"p99 {format_ns(lat.p99)}, p99.9 {format_ns(lat.p99_9)}, "
                f"p99.99 {format_ns(lat.p99_99)}"
            ),
        )
        yield (
            "",
            (f"min {format_ns(lat.min)}, mean {format_ns(lat.mean)}, max {format_ns(lat.max)}"),
        )
    if m.cpu_ns_per_io:
        cpu = m.cpu_ns_per_io
        yield (
            "CPU per I/O",
            (
                f"{format_ns(cpu.total)}: user {format_ns(cpu.user)}, "
                f"system {format_ns(cpu.system)}, helpers {format_ns(cpu.helpers)}"
            ),
        )
    yield "counted", _counted(m)
    if m.device:
        yield (
            m.device.device,
            (
                f"{format_bandwidth(m.device.bandwidth)} and "
                f"{format_count(m.device.commands)} commands/s by its own counters"
            ),
        )
    yield (
        "measured",
        (
            f"{m.operations:,} operations, "
            f"{format_size(round(m.bandwidth * m.seconds))} in {m.seconds:.2f} s"
        ),
    )
    if m.why:
        yield "why", m.why


def _counted(m: Measurement) -> str:
    counts = [(name, getattr(m.counters, name)) for name in m.counters.__struct_fields__]
    known = [f"{name} {value:,}" for name, value in counts if value is not None]
    return ", ".join(known) or "nothing"
