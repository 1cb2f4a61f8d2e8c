"""Signals that ask a program to end, handled otherwise for a while."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

#: Ctrl-C, kill(1), and a terminal that goes away.
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def handled(handler: Handler, numbers: Iterable[signal.Signals] = ENDINGS) -> Iterator[None]:
    """These signals go to `handler` while the block runs; after it to whom they went before."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
