"""The comparison on an emulated NVMe drive: times from one machine, instructions from another.

An emulated machine's times compare paths with each other, roughly; they are no hardware's. What it
can tell exactly is how many instructions a path needs for each I/O: on a second machine whose
clock advances by 1 ns with every instruction, CPU time is just that.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ..vm.errors import DiedError
from ..vm.host import Host, find_host
from ..vm.job import Job
from ..vm.machine import Machine
from ..vm.streams import close_input
from ..vm.topologies import load_topology
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

Watch = Callable[[str | None], bool]


def compare_emulated(words: Sequence[str], watch: Watch) -> Comparison:
    """The comparison of the emulated drive, with instructions per I/O where it is emulated.

    words: further options of ``ringway compare``. watch: called with a line about the progress,
    or None, several times a second; answers whether to go on. Raises MachineError.
    """
    host = find_host()
    timed = _compare(host, [*_TIMED, *words], watch)
    if not host.acceleration.emulated:
        return timed
    watch("emulated NVMe drive, counting instructions")
    counted = _compare(find_host(count_instructions=True), [*_COUNTED, *words], watch)
    return with_instructions(timed, counted)


def _compare(host: Host, words: Sequence[str], watch: Watch) -> Comparison:
    with tempfile.TemporaryDirectory(prefix="ringway-compare-") as folder:
        record = Path(folder, "record.json")
        command = (sys.executable, "-m", "ringway", "compare", DRIVE, "--json", str(record))
        job = Job(
            command=[*command, "--direct", *words],
            topology=load_topology(TOPOLOGY),
            directory=Path.cwd(),
            environment={**os.environ, "RINGWAY_VM": TOPOLOGY},
            results=[Path(folder)],
        )
        status, said = _run(host, job, watch)
        if not record.exists():
            raise DiedError(f"the comparison in the machine ended with {status}: {said}")
        document = from_json(record.read_bytes())
    assert isinstance(document, Comparison)
    return document


def _run(host: Host, job: Job, watch: Watch) -> tuple[int, str]:
    """Its exit status, and the last that it said."""
    errors = bytearray()

    def tell(data: bytes) -> None:
        errors.extend(data)
        for line in data.decode(errors="replace").splitlines():
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


def missing(reason: str, failed: bool) -> LeftOut:
    """What stands in the report where there is no second table."""
    text = f"failed: {reason}" if failed else reason
    return LeftOut(path="emulated NVMe drive", tool="ringway", where="everywhere", reason=text)
