"""The comparison on an emulated NVMe drive: times from one machine, instructions from another.

An emulated machine's times compare paths with each other, roughly; they are no hardware's. What it
can tell exactly is how many instructions a path needs for each I/O: on a second machine whose
clock advances by 1 ns with every instruction, CPU time is just that.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ..config import ConfigError
from ..vm.errors import DiedError, MachineError, StoppedError
from ..vm.host import Host, find_host
from ..vm.job import Job, environment_in
from ..vm.lines import Lines
from ..vm.machine import Machine
from ..vm.streams import close_input
from ..vm.topologies import load_topology
from .executor import reason_of as _reason_of
from .record import Cell, Comparison, LeftOut, Verdict, from_json
from .units import format_count

#: The first drive of the topology.
DRIVE = "/dev/nvme0n1"
TOPOLOGY = "compare"
#: A fault that nobody noticed must not make it wait for ever, in seconds.
_LONGEST = 1800.0
#: Where times mean little, short runs do; where instructions are counted, the shortest.
_TIMED = ("--runtime", "0.5", "--repetitions", "2")
_COUNTED = ("--runtime", "0.1", "--repetitions", "1")

#: Ends of a comparison that its record tells: done, failed I/O, interrupted.
_TOLD = (0, 1, 130)

Watch = Callable[[str | None], bool]


def compare_emulated(words: Sequence[str], watch: Watch, lengths: Sequence[str] = ()) -> Comparison:
    """The comparison of the emulated drive, with instructions per I/O where it is emulated.

    words: further options of ``ringway compare``. watch: called with a line about the progress,
    or None, several times a second; answers whether to go on. lengths: options that override
    how long is measured, not how long is counted. Raises MachineError and ConfigError where there
    is nothing to show; without the count the times stand, and say what is missing.
    """
    host = find_host()
    timed = _compare(host, [*_TIMED, *words, *lengths], watch)
    if timed.interrupted or not host.acceleration.emulated:
        return timed
    watch("emulated NVMe drive, counting instructions")
    try:
        counted = _compare(find_host(count_instructions=True), [*_COUNTED, *words], watch)
    except (StoppedError, KeyboardInterrupt):
        return msgspec.structs.replace(timed, interrupted=True)
    except Exception as error:
        return _with_left_out(timed, missing(reason_of(error), True, "instructions per I/O"))
    return with_instructions(timed, counted)


def _compare(host: Host, words: Sequence[str], watch: Watch) -> Comparison:
    with tempfile.TemporaryDirectory(prefix="ringway-compare-") as folder:
        record = Path(folder, "record.json")
        command = (sys.executable, "-m", "ringway", "compare", DRIVE, "--json", str(record))
        job = Job(
            command=[*command, "--direct", *words],
            topology=load_topology(TOPOLOGY),
            directory=Path.cwd(),
            environment=environment_in(TOPOLOGY),
            results=[Path(folder)],
        )
        status, said = _run(host, job, watch)
        if not record.exists():
            raise DiedError(_end(status, said))
        document = _read(record)
    if status in _TOLD:
        return document
    return _with_left_out(document, missing(_end(status, said), True))


def _read(record: Path) -> Comparison:
    try:
        document = from_json(record.read_bytes())
    except msgspec.DecodeError as error:
        raise DiedError(f"the machine left a record that cannot be read: {error}") from error
    assert isinstance(document, Comparison)
    return document


def _end(status: int, said: str) -> str:
    return f"the comparison in the machine ended with {status}: {said}"


def _run(host: Host, job: Job, watch: Watch) -> tuple[int, str]:
    """Its exit status, and the last that it said."""
    errors = bytearray()
    lines = Lines()

    def tell(data: bytes) -> None:
        errors.extend(data)
        for line in lines.take(data):
            if "round" in line:
                watch(f"emulated NVMe drive: {line}")

    with Machine(host, job) as machine:
        machine.on_data("stdout", lambda data: None)
        machine.on_data("stderr", tell)
        close_input(machine)
        status = machine.wait(time.monotonic() + _LONGEST, lambda: not watch(None))
    return status, errors.decode(errors="replace").strip().rpartition("\n")[2]


def with_instructions(timed: Comparison, counted: Comparison) -> Comparison:
    """The first with the CPU time of the second as instructions per I/O."""
    found = {_key(cell): cell.cpu_ns_per_io for cell in counted.cells}

    def merged(cell: Cell) -> Cell:
        cpu = found.get(_key(cell))
        # Too few operations for fio to have seen any CPU time say nothing.
        count = cpu.total if cpu and cpu.total else None
        return msgspec.structs.replace(cell, instructions_per_io=count)

    cells = [merged(cell) for cell in timed.cells]
    lines = [_fewest(verdict, cells) for verdict in timed.verdicts]
    summary = [*(line for line in lines if line), *timed.summary]
    return msgspec.structs.replace(timed, cells=cells, summary=summary)


def _fewest(verdict: Verdict, cells: list[Cell]) -> str:
    """Which path needs the fewest instructions at a setting; "" where none were counted."""
    counts = sorted(
        (cell.instructions_per_io, cell.label)
        for cell in cells
        if cell.group == verdict.group and cell.tool == "ringway" and cell.instructions_per_io
    )
    if len(counts) < 2:
        return ""
    (least, best), (most, worst) = counts[0], counts[-1]
    return (
        f"{verdict.title}: {best} takes the fewest instructions, {format_count(least)} per I/O; "
        f"{worst} takes {format_count(most)}."
    )


def _key(cell: Cell) -> tuple[str, str]:
    return cell.group, cell.label


def missing(reason: str, failed: bool, what: str = "emulated NVMe drive") -> LeftOut:
    """What stands in the report where there is no second table, or nothing was counted for it."""
    text = f"failed: {reason}" if failed else reason
    return LeftOut(path=what, tool="ringway", where="everywhere", reason=text)


def _with_left_out(comparison: Comparison, one: LeftOut) -> Comparison:
    return msgspec.structs.replace(comparison, left_out=[*comparison.left_out, one])


def reason_of(error: Exception) -> str:
    """The sentence of an error; what nobody foresaw says its type as well."""
    if isinstance(error, MachineError | ConfigError):
        return str(error)
    return _reason_of(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
