"""(a) What the core itself costs per I/O, over the path that does nothing."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
from cli import alone
from pairs import Figure, Goal, Run, Sample, level, timed
from peers import Loop
from session import FINE, Session, output_of

import ringway

NAME = "core"
TARGET = "null:1GiB"
BATCH = 256
LARGE = 16384
BS = 4096
#: Batches per look at the clock, about a millisecond.
_AT_ONCE = 100

_NATIVE = f"C, batches of {BATCH}"
_LARGE = f"C, batches of {LARGE}"
_REUSED = f"read_many of {BATCH}, out="
_FRESH = f"read_many of {BATCH}"


def measure(session: Session) -> list[Figure]:
    """Native ≤ 60 ns per I/O; a Python batch of 256 ≤ 3 ns more; instructions per I/O."""
    program = session.program("bench-loop")
    with ringway.open(TARGET) as dev:
        runs: dict[str, Run] = {
            _NATIVE: Loop(program, TARGET, "null", BATCH),
            _REUSED: _python(dev, reuse=True),
            _FRESH: _python(dev, reuse=False),
            _LARGE: Loop(program, TARGET, "null", LARGE),
        }
        samples = session.rounds(NAME, runs, FINE)
    return [
        _cost(_NATIVE, samples[_NATIVE]),
        _cost(_LARGE, samples[_LARGE]),
        _more(_REUSED, samples, Goal("≤", 3)),
        _more(_FRESH, samples, None),
        *_instructions(session, program),
    ]


def _python(dev: ringway.Device, reuse: bool) -> Run:
    buffer = dev.alloc(BATCH * BS)
    offsets = np.random.default_rng(1).integers(0, dev.size // BS, BATCH) * BS
    done = dev.read_many(offsets, buffer, BS, depth=BATCH)

    def fill_again() -> int:
        for _ in range(_AT_ONCE):
            dev.read_many(offsets, buffer, BS, depth=BATCH, out=done)
        return _AT_ONCE * BATCH

    def make_new() -> int:
        for _ in range(_AT_ONCE):
            dev.read_many(offsets, buffer, BS, depth=BATCH)
        return _AT_ONCE * BATCH

    return lambda seconds: timed(fill_again if reuse else make_new, seconds)


def _cost(ours: str, samples: list[Sample]) -> Figure:
    return Figure(
        command=NAME,
        ours=ours,
        peer="",
        unit="ns",
        values=[sample.cpu_ns for sample in samples],
        goal=Goal("≤", 60),
        our_level=level(samples),
    )


def _more(ours: str, samples: dict[str, list[Sample]], goal: Goal | None) -> Figure:
    pairs = zip(samples[ours], samples[_NATIVE], strict=True)
    return Figure(
        command=NAME,
        ours=ours,
        peer=_NATIVE,
        unit="ns more",
        values=[python.cpu_ns - native.cpu_ns for python, native in pairs],
        goal=goal,
        our_level=level(samples[ours]),
        peer_level=level(samples[_NATIVE]),
    )


def _instructions(session: Session, program: Path) -> list[Figure]:
    """Instructions per I/O: what two runs of unlike length differ by; repeats exactly."""
    if not shutil.which("valgrind"):
        return []
    session.tell(f"{NAME}: counting instructions")
    loop = Loop(program, TARGET, "null", BATCH)
    few, many = 100, 300
    counts = [_count(loop.command(0, batches)) for batches in (few, many)]
    per_io = (counts[1] - counts[0]) / ((many - few) * BATCH)
    return [Figure(command=NAME, ours=_NATIVE, peer="", unit="instr.", values=[round(per_io, 1)])]


def _count(command: list[str]) -> int:
    with tempfile.NamedTemporaryFile(prefix="callgrind-") as out:
        output_of(
            ["valgrind", "--tool=callgrind", "-q", f"--callgrind-out-file={out.name}", *command]
        )
        found = re.search(r"^(?:summary|totals): (\d+)", Path(out.name).read_text(), re.M)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    alone(measure)
