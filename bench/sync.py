"""(c) `readinto` on the posix path, beside a loop of `os.preadv`."""

from __future__ import annotations

import os
from collections.abc import Callable

from cli import alone
from pairs import Figure, Goal, Run, ratio, timed
from session import FINE, Session

import ringway

NAME = "sync"
BS = 4096
#: Reads per look at the clock.
_AT_ONCE = 4096
_DRAWN = 1 << 18

_OURS = "readinto on posix"
_PEER = "os.preadv"


def measure(session: Session) -> list[Figure]:
    """≥ 1.0×: 4k random reads of a page-cached file, one at a time, the same memory reused."""
    target = session.cached_file()
    # Plain ints, as both take them; the same ones for both.
    offsets: list[int] = session.draw(BS, _DRAWN).tolist()
    pieces = [offsets[i : i + _AT_ONCE] for i in range(0, _DRAWN, _AT_ONCE)]
    fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with ringway.open(target, "posix", direct=False) as dev:
            buffer = dev.alloc(BS)
            runs = {
                _OURS: _cycle(pieces, _readinto(dev, buffer)),
                _PEER: _cycle(pieces, _preadv(fd, buffer)),
            }
            return [ratio(NAME, session.rounds(NAME, runs, FINE), _OURS, _PEER, Goal("≥", 1.0))]
    finally:
        os.close(fd)


def _cycle(pieces: list[list[int]], read: Callable[[list[int]], None]) -> Run:
    turn = 0

    def step() -> int:
        nonlocal turn
        turn = (turn + 1) % len(pieces)
        read(pieces[turn])
        return _AT_ONCE

    return lambda seconds: timed(step, seconds)


def _readinto(dev: ringway.Device, buffer: ringway.Buffer) -> Callable[[list[int]], None]:
    def read(offsets: list[int], readinto: Callable[..., int] = dev.readinto) -> None:
        for offset in offsets:
            readinto(offset, buffer)

    return read


def _preadv(fd: int, buffer: ringway.Buffer) -> Callable[[list[int]], None]:
    def read(offsets: list[int], preadv: Callable[..., int] = os.preadv) -> None:
        memory = [buffer]
        for offset in offsets:
            preadv(fd, memory, offset)

    return read


if __name__ == "__main__":
    alone(measure)
