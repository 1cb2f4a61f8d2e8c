"""``ringway bench``: one run."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from ringway.bench.configs import WorkloadFile
from ringway.bench.executor import RunSpec
from ringway.bench.plan import default_cpu
from ringway.bench.record import BenchDocument, Measurement, to_json
from ringway.bench.report.table import bench_view

from .failures import DONE, FAILED, INTERRUPTED, Stopped
from .interrupt import watching
from .options import build, fields_of, require_write_flag, workload_options
from .params import API, COUNT, PATH, PATTERN, SIZE
from .progress import Display, run_status
from .toolbox import Toolbox, pass_toolbox

_EPILOG = """
\b
Examples
  ringway bench data.bin --rw randread --bs 4k --depth 32
  ringway bench /dev/nvme0n1 --path io_uring+fixed+defer --depth 128
  ringway bench data.bin --buffered --api asyncio --depth 256
  ringway bench data.bin --json | jq .iops
  ringway bench scratch.bin --rw randwrite --write
  ringway bench null:1GiB --path null
"""


@click.command(epilog=_EPILOG, short_help="One run of one path.")
@click.argument("target")
@click.option(
    "--path",
    type=PATH,
    help="Path and options, as in io_uring+fixed+defer; else the best that works.",
)
@click.option(
    "--rw", type=PATTERN, help="read, write, rw, randread, randwrite, randrw.  [randread]"
)
@click.option("--bs", type=SIZE, help="Bytes per operation: 4k, 64KiB, 1m.  [4k]")
@click.option("--depth", type=COUNT, metavar="N", help="Operations in flight per thread.  [32]")
@click.option(
    "--direct/--buffered",
    "direct",
    default=None,
    help="Past the page cache, or through it.  [direct]",
)
@click.option(
    "--api",
    type=API,
    default="native",
    show_default=True,
    help="native: the loop in C; or what a Python caller gets from batch, queue, sync, asyncio.",
)
@workload_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else.")
@pass_toolbox
def bench(
    toolbox: Toolbox,
    /,
    target: str,
    path: str | None,
    api: str,
    file: WorkloadFile | None,
    allow_write: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Runs one workload on TARGET and tells what it reached.

    TARGET is a file, a block device, null:1GiB or mem:256MiB.
    """
    spec = _spec(toolbox, target, path, api, fields_of(file, given), allow_write)
    measurement = _measure(toolbox, spec)
    if not measurement.operations and measurement.interrupted:
        raise Stopped
    document = _document(measurement, toolbox)
    if as_json:
        click.echo(to_json(document), nl=False)
    else:
        toolbox.console().print(bench_view(document))
    if measurement.interrupted:
        return INTERRUPTED
    return FAILED if measurement.errors or measurement.verify_errors else DONE


def _spec(
    toolbox: Toolbox,
    target: str,
    path: str | None,
    api: str,
    fields: dict[str, Any],
    allow_write: bool,
) -> RunSpec:
    work = build(fields)
    if "cpu" not in fields and "sqpoll" not in (path or ""):
        work = msgspec.structs.replace(work, cpu=default_cpu(work.threads))
    require_write_flag(target, work.writes, allow_write, toolbox.catalog().scheme_of(target))
    return RunSpec(target, path, work, api)


def _measure(toolbox: Toolbox, spec: RunSpec) -> Measurement:
    with (
        watching() as interruption,
        Display(spec.path or "best path", spec.workload.seconds, interruption) as display,
    ):
        return toolbox.of("ringway", spec.api).run(spec, run_status(display, spec.workload.ramp))


def _document(measurement: Measurement, toolbox: Toolbox) -> BenchDocument:
    fields = {name: getattr(measurement, name) for name in Measurement.__struct_fields__}
    return BenchDocument(**fields, environment=toolbox.environment(measurement.target))
