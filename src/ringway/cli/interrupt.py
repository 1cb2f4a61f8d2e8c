"""Ctrl-C, SIGTERM and SIGHUP as a question between steps, so that nothing measured is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ringway.signals import handled


class Interruption:
    """Whether the user wants an end; the second Ctrl-C insists, and raises."""

    def __init__(self) -> None:
        self.wanted = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True


@contextmanager
def watching() -> Iterator[Interruption]:
    """Signals set the flag while the block runs."""
    interruption = Interruption()
    with handled(interruption):
        yield interruption
