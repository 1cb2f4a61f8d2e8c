"""The second table of ``ringway compare --emulated``: how it is asked for, and what it cannot cost.

What was measured before it stays, whatever happens to the machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
from rich.markup import escape

from ringway.bench.configs import WorkloadFile
from ringway.bench.plan import CompareRequest
from ringway.bench.record import Comparison
from ringway.bench.report.table import rounds
from ringway.bench.units import format_seconds
from ringway.bench.workload import Workload

from .interrupt import watching
from .options import fields_of
from .progress import Display

#: What it takes under emulation, in seconds.
_SECONDS = 200.0
_TITLE = "emulated NVMe drive"
#: What of a workload is the same on any drive. A range and a CPU are not; and the drive keeps no
#: data that could be verified.
_SAME = ("threads", "mix", "zipf", "rate", "batch", "seed", "total")


def with_emulated(
    comparison: Comparison, request: CompareRequest, lengths: list[str]
) -> Comparison:
    """The same with a second comparison, or with the reason why there is none.

    lengths: see `lengths_of`.
    """
    from ringway.bench.emulated import missing, reason_of
    from ringway.vm.errors import StoppedError, UnavailableError

    replace = msgspec.structs.replace
    try:
        second = _measured(request, lengths)
    except (StoppedError, KeyboardInterrupt):
        return replace(comparison, interrupted=True)
    except Exception as error:
        # A bug as well: minutes of measuring are worth more than its traceback.
        reason = missing(reason_of(error), not isinstance(error, UnavailableError))
        return replace(comparison, left_out=[*comparison.left_out, reason])
    summary = [*second.summary, *_unlike(comparison, request, second)]
    return replace(comparison, emulated=replace(second, summary=summary))


def _measured(request: CompareRequest, lengths: list[str]) -> Comparison:
    from ringway.bench.emulated import compare_emulated

    with watching() as interruption, Display(_TITLE, _SECONDS, interruption) as display:
        display.line(_TITLE)
        begin = time.monotonic()

        def watch(line: str | None) -> bool:
            if line is not None:
                display.line(line)
            return display.show(time.monotonic() - begin, escape(line) if line else None)

        return compare_emulated(words_of(request), watch, lengths)


def words_of(request: CompareRequest) -> list[str]:
    """The request as options for the machine; its drive may be written to."""
    words = ["--depths", ",".join(map(str, request.depths)), "--apis", ",".join(request.apis)]
    words += ["--rw", ",".join(request.patterns or [request.workload.rw])]
    words += ["--bs", ",".join(map(str, request.block_sizes or [request.workload.bs]))]
    if request.paths:
        words += ["--paths", ",".join(request.paths)]
    usual = Workload()
    for name in _SAME:
        value = getattr(request.workload, name)
        if value != getattr(usual, name):
            words += [f"--{name}", str(value)]
    return [*words, "--write", "--fio" if request.fio else "--no-fio"]


def lengths_of(file: WorkloadFile | None, given: dict[str, Any]) -> list[str]:
    """Options for how long to measure, where the user or a workload file says it."""
    saved = file.compare.repetitions if file else None
    fields = fields_of(file, given) | {"repetitions": given.get("repetitions") or saved}
    found = ((name, fields.get(name)) for name in ("runtime", "ramp", "repetitions"))
    return [word for name, value in found if value is not None for word in _option(name, value)]


def _option(name: str, value: str | float) -> tuple[str, str]:
    # Plain digits: 1e-05 is no time to the command line.
    return f"--{name}", f"{value:.9f}" if isinstance(value, float) else str(value)


def _unlike(first: Comparison, request: CompareRequest, second: Comparison) -> Iterator[str]:
    """Sentences on what the second table does not share with the first."""
    runtime = second.workload.runtime
    if runtime < first.workload.runtime or second.repetitions < first.repetitions:
        length = format_seconds(runtime)
        yield (
            f"Shortened for the emulated drive: runs of {length} in {rounds(second.repetitions)};"
            " --runtime and --repetitions set them."
        )
    if request.workload.verify:
        yield "Nothing was verified here: the emulated drive keeps no data."
