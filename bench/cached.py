"""(b) `read_many` over io_uring on a page-cached file, beside fio with the same flags."""

from __future__ import annotations

from cli import alone
from pairs import Figure, Goal, Run, ratio, timed
from peers import FIXED_DEFER, LEAN, fio, t_io_uring
from session import Session

import ringway

NAME = "cached"
PATH = "io_uring+fixed+defer"
DEPTH = 32
BS = 4096
#: Operations of one call: a mebibyte of memory.
BATCH = 256
#: Offsets drawn at a time; the drawing is timed, since fio draws its own too.
_DRAWN = 16 * BATCH

_OURS = f"read_many of {BATCH}"
_FIO = "fio"
_LEAN = "fio without latencies"
_T = "t/io_uring"


def measure(session: Session) -> list[Figure]:
    """≥ 1.3× fio, ≥ 0.98× `t/io_uring`: 4k random reads, depth 32, registered buffers and file.

    fio as it comes takes the latency of every I/O, and so does `read_many`; without them it is
    leaner than what it is compared with, and so is `t/io_uring`.
    """
    target = session.cached_file()
    with ringway.open(target, PATH, direct=False) as dev:
        runs: dict[str, Run] = {
            _OURS: batches(session, dev),
            _FIO: _fio(session, target, {}),
            _LEAN: _fio(session, target, LEAN),
        }
        if session.t_io_uring:
            runs[_T] = t_io_uring(session, session.t_io_uring, target, DEPTH)
        samples = session.rounds(NAME, runs)
    goals = {_FIO: 1.3, _LEAN: 1.3, _T: 0.98}
    return [
        ratio(NAME, samples, _OURS, peer, Goal("≥", goals[peer])) for peer in runs if peer != _OURS
    ]


def _fio(session: Session, target: str, lean: dict[str, int]) -> Run:
    return fio(
        session,
        target,
        **FIXED_DEFER,
        **lean,
        rw="randread",
        bs=BS,
        size=session.size,
        direct=0,
        iodepth=DEPTH,
        iodepth_batch_submit=DEPTH,
        iodepth_batch_complete_min=DEPTH,
        iodepth_batch_complete_max=DEPTH,
    )


def batches(session: Session, dev: ringway.Device, depth: int = DEPTH) -> Run:
    """Random reads by `read_many`, each call into the same memory."""
    buffer = dev.alloc(BATCH * BS)
    done = dev.read_many(session.draw(BS, BATCH), buffer, BS, depth)

    def step() -> int:
        offsets = session.draw(BS, _DRAWN)
        for first in range(0, _DRAWN, BATCH):
            dev.read_many(offsets[first : first + BATCH], buffer, BS, depth, out=done)
            done.raise_for_status()
        return _DRAWN

    return lambda seconds: timed(step, seconds)


if __name__ == "__main__":
    alone(measure)
