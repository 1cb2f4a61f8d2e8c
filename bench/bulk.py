"""(e) Large direct reads into a numpy array, beside fio."""

from __future__ import annotations

import numpy as np
from cli import alone
from pairs import Figure, Goal, Run, ratio, timed
from peers import FIXED_DEFER, LEAN, fio
from session import Session

import ringway

NAME = "bulk"
PATH = "io_uring+fixed+defer"
DEPTH = 8
BS = 1 << 20
#: Reads of one call at most; a batch ends with its queue running empty, so it is a long one.
_MOST = 256

_OURS = "read_many into numpy"
_FIO = "fio"


def measure(session: Session) -> list[Figure]:
    """≥ 0.98×: 1 MiB random reads with O_DIRECT at depth 8, no copy."""
    with ringway.open(session.file, PATH) as dev:
        runs: dict[str, Run] = {
            _OURS: _ours(session, dev),
            _FIO: fio(
                session,
                session.file,
                **FIXED_DEFER,
                **LEAN,
                rw="randread",
                bs=BS,
                size=session.size,
                direct=1,
                iodepth=DEPTH,
            ),
        }
        return [ratio(NAME, session.rounds(NAME, runs), _OURS, _FIO, Goal("≥", 0.98))]


def _ours(session: Session, dev: ringway.Device) -> Run:
    count = min(_MOST, session.size // BS)
    array = np.frombuffer(dev.alloc(count * BS), np.float32)

    def step() -> int:
        dev.read_many(session.draw(BS, count), array, BS, DEPTH).raise_for_status()
        return count

    return lambda seconds: timed(step, seconds)


if __name__ == "__main__":
    alone(measure)
