"""(g) `ringway bench` beside fio, where the device is the limit: do they agree?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cli import alone
from pairs import Figure, Goal, Run, Sample, ratio
from peers import FIXED_DEFER, fio
from session import Session, output_of

NAME = "instrument"
PATH = "io_uring+fixed+defer"
DEPTH = 32
#: Both run this long before they measure, in seconds.
_RAMP = 0.3

_OURS = "ringway bench"
_FIO = "fio"


def measure(session: Session) -> list[Figure]:
    """Within 2 %: 4k random reads with O_DIRECT, 32 handed over and waited for at a time.

    Unless both do that, they differ in how they cut the stream into calls, and a virtual disk
    answers to the cut: every call is a notification.
    """
    runs: dict[str, Run] = {
        _OURS: _ours(session),
        _FIO: fio(
            session,
            session.file,
            **FIXED_DEFER,
            rw="randread",
            bs=4096,
            size=session.size,
            direct=1,
            iodepth=DEPTH,
            iodepth_batch_submit=DEPTH,
            iodepth_batch_complete_min=DEPTH,
            iodepth_batch_complete_max=DEPTH,
            ramp_time=f"{_RAMP}s",
        ),
    }
    return [ratio(NAME, session.rounds(NAME, runs), _OURS, _FIO, Goal("within", 0.02))]


def _ours(session: Session) -> Run:
    words = {
        "path": PATH,
        "rw": "randread",
        "bs": "4k",
        "depth": DEPTH,
        "batch": DEPTH,
        "ramp": _RAMP,
        "cpu": session.pinned_cpu,
    }
    command = [
        str(Path(sys.executable).with_name("ringway")),
        "bench",
        session.file,
        "--direct",
        "--json",
        *(word for name, value in words.items() for word in (f"--{name}", str(value))),
    ]

    def run(seconds: float) -> Sample:
        with session.unpinned():
            document = json.loads(output_of([*command, "--runtime", str(seconds)]))
        cpu_ns = sum(document["cpu_ns_per_io"].values())
        operations = document["iops"] * document["seconds"]
        return Sample(operations, document["seconds"], cpu_ns * operations / 1e9)

    return run


if __name__ == "__main__":
    alone(measure)
