"""``ringway compare``: the same work on every path, and what to conclude."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from ringway.bench.compare import replace_target, run_plan
from ringway.bench.configs import CompareSettings, WorkloadFile
from ringway.bench.environment import check
from ringway.bench.plan import (
    CompareRequest,
    Plan,
    default_cpu,
    fitting_runtime,
    make_plan,
    with_runtime,
)
from ringway.bench.record import Comparison
from ringway.bench.report import comparison_view
from ringway.bench.scratch import scratch_file, scratch_size
from ringway.bench.units import format_seconds, format_size

from .compare_emulated import lengths_of, with_emulated
from .compare_outputs import Outputs, outputs_of, write
from .failures import DONE, FAILED, INTERRUPTED, Stopped
from .interrupt import Interruption, watching
from .options import build, fields_of, require_write_flag, workload_options
from .params import API, COUNT, PATH, PATTERN, SIZE, list_of
from .progress import Display, PlanWatcher
from .toolbox import Toolbox, pass_toolbox

#: What a comparison takes when nobody says how long a run shall be, in seconds.
_BUDGET = 170.0
_RAMP = 0.2
_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)

_EPILOG = """
\b
Examples
  ringway compare
      every path on a file of its own in this directory; leaves ringway-report.html
  ringway compare /dev/nvme0n1 --depths 1,8,32,128 --html report.html
  ringway compare data.bin --paths posix,io_uring,io_uring+fixed+defer --buffered
  ringway compare data.bin --paths io_uring --apis native,batch,asyncio
  ringway compare data.bin --workload bulk --json report.json
  ringway compare scratch.bin --rw randwrite --write
  ringway compare --emulated
      the file on this disk, then an NVMe drive that QEMU emulates: two tables
"""


@click.command(epilog=_EPILOG, short_help="Every path on the same work, and a verdict.")
@click.argument("target", required=False)
@click.option(
    "--paths",
    type=list_of(PATH),
    help="Only these, as in posix,io_uring+fixed; else every path that is usable.",
)
@click.option("--depths", type=list_of(COUNT), metavar="N,…", help="Depths to measure at.  [1,32]")
@click.option("--bs", "block_sizes", type=list_of(SIZE), help="Block sizes.  [4k]")
@click.option(
    "--rw", "patterns", type=list_of(PATTERN), help="Patterns, in fio's words.  [randread]"
)
@click.option(
    "--direct/--buffered",
    "direct",
    default=None,
    help="Only past the page cache, or only through it; else both.",
)
@click.option(
    "--apis",
    type=list_of(API),
    default="native",
    show_default=True,
    help="Faces of the API to measure on each path.",
)
@click.option(
    "--repetitions", type=COUNT, metavar="N", help="Rounds; every path runs in each.  [3]"
)
@click.option(
    "--fio/--no-fio", "fio", default=None, help="fio beside every path it can do.  [if installed]"
)
@click.option(
    "--emulated",
    is_flag=True,
    help="Then the same on an emulated NVMe drive, in a machine that QEMU runs.",
)
@workload_options
@click.option("--json", "json_file", type=_FILE, help="Write the record.")
@click.option("--html", "html_file", type=_FILE, help="Write the page; it needs matplotlib.")
@click.option("--csv", "csv_file", type=_FILE, help="Write one line per run.")
@pass_toolbox
def compare(
    toolbox: Toolbox,
    /,
    target: str | None,
    file: WorkloadFile | None,
    emulated: bool,
    allow_write: bool,
    json_file: Path | None,
    html_file: Path | None,
    csv_file: Path | None,
    **given: Any,
) -> int:
    """Measures every usable path on TARGET, interleaved, with fio beside them as the referee.

    TARGET is a file, a block device, null:1GiB or mem:256MiB. Without one, ringway makes a file
    on this directory's disk, measures on it past and through the page cache, removes it, and
    leaves ringway-report.html and ringway-report.json.
    """
    outputs = outputs_of(target, Outputs(json_file, csv_file, html_file))
    with watching() as interruption, _target(target, interruption) as (name, shown):
        lengths = lengths_of(file, given)
        request = _request(toolbox, name, file, given)
        writes = request.workload.writes or any(
            rw not in ("read", "randread") for rw in request.patterns or ()
        )
        scheme = toolbox.catalog().scheme_of(name)
        require_write_flag(name, writes, allow_write or target is None, scheme)
        plan = _plan(toolbox, request, file, given)
        if not plan.steps and not emulated:
            raise click.ClickException(_nothing(plan))
        comparison = _run(toolbox, plan, interruption)
    if comparison.interrupted and not comparison.runs:
        raise Stopped
    comparison = replace_target(comparison, shown)
    if emulated and not comparison.interrupted:
        comparison = with_emulated(comparison, request, lengths)
    written = write(comparison, outputs)
    toolbox.console().print(comparison_view(comparison))
    for place in written:
        click.echo(f"wrote {place}", err=True)
    return _status(comparison)


def _status(comparison: Comparison) -> int:
    """Of both tables, where there are two."""
    tables = [one for one in (comparison, comparison.emulated) if one is not None]
    if any(one.interrupted for one in tables):
        return INTERRUPTED
    measured = any(one.cells for one in tables)
    return FAILED if not measured or any(map(_failed, tables)) else DONE


def _failed(comparison: Comparison) -> bool:
    return any(cell.errors for cell in comparison.cells) or any(
        one.reason.startswith("failed: ") for one in comparison.left_out
    )


# ---------------------------------------------------------------- before


@contextmanager
def _target(target: str | None, interruption: Interruption) -> Iterator[tuple[str, str]]:
    """What to open, and what to call it in the report."""
    if target is not None:
        yield target, target
        return
    size = scratch_size(".")
    title = f"writing a file of {format_size(size)} to measure on"
    with Display(title, 1.0, interruption) as display:
        display.line(title)
        made = scratch_file(".", display.show)
        scratch = made.__enter__()
    try:
        yield scratch.target, scratch.name
    finally:
        made.__exit__(None, None, None)


def _request(
    toolbox: Toolbox, target: str, file: WorkloadFile | None, given: dict[str, Any]
) -> CompareRequest:
    settings = {
        name: given.pop(name)
        for name in (
            "paths",
            "depths",
            "block_sizes",
            "patterns",
            "direct",
            "apis",
            "repetitions",
            "fio",
        )
    }
    saved = file.compare if file else CompareSettings()
    fields = fields_of(file, given)
    memory = toolbox.catalog().scheme_of(target) is not None
    return CompareRequest(
        target=target,
        workload=_workload(fields, settings),
        paths=settings["paths"] or saved.paths,
        depths=settings["depths"] or saved.depths or (1, 32),
        buffering=_buffering(settings["direct"], saved.buffering, fields, memory),
        block_sizes=settings["block_sizes"],
        patterns=settings["patterns"],
        apis=settings["apis"],
        repetitions=settings["repetitions"] or saved.repetitions or 3,
        fio=_with_fio(toolbox, settings["fio"]),
    )


def _workload(fields: dict[str, Any], settings: dict[str, Any]) -> Any:
    fields.setdefault("ramp", _RAMP)
    fields.setdefault("runtime", 1.0)
    if settings["patterns"]:
        fields["rw"] = settings["patterns"][0]
    if settings["block_sizes"]:
        fields["bs"] = settings["block_sizes"][0]
    work = build(fields)
    if "cpu" not in fields:
        work = msgspec.structs.replace(work, cpu=default_cpu(work.threads))
    return work


def _buffering(
    direct: bool | None, saved: Any, fields: dict[str, Any], memory: bool
) -> tuple[str, ...]:
    if memory:
        return ("direct",)
    if direct is None and "direct" in fields:
        direct = fields["direct"]
    if direct is not None:
        return ("direct",) if direct else ("cached",)
    return tuple(saved or ("direct", "cached"))


def _with_fio(toolbox: Toolbox, asked: bool | None) -> bool:
    if asked is False:
        return False
    here = toolbox.fio_installed()
    if asked and not here:
        raise click.UsageError("--fio: fio is not installed; on Debian: apt-get install fio")
    if not here:
        click.echo(
            "ringway: fio is not installed, so there is no referee; on Debian: apt-get install fio",
            err=True,
        )
    return here


def _plan(
    toolbox: Toolbox, request: CompareRequest, file: WorkloadFile | None, given: dict[str, Any]
) -> Plan:
    plan = make_plan(request, toolbox.catalog())
    chosen = (
        given.get("runtime") or given.get("total") or (file and file.given & {"runtime", "total"})
    )
    return plan if chosen else with_runtime(plan, fitting_runtime(plan, _BUDGET))


def _nothing(plan: Plan) -> str:
    reasons = "; ".join(f"{one.path}: {one.reason}" for one in plan.left_out)
    return f"no path can be measured on {plan.request.target}: {reasons}"


# ---------------------------------------------------------------- during


def _run(toolbox: Toolbox, plan: Plan, interruption: Interruption) -> Comparison:
    environment = toolbox.environment(plan.request.target)
    with Display("", plan.seconds, interruption) as display:
        display.line(f"{len(plan.steps)} runs, about {format_seconds(round(plan.seconds))}")
        watcher = PlanWatcher(plan, display)
        return run_plan(plan, toolbox, watcher, environment, check(environment))
