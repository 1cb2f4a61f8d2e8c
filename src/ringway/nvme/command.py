"""A command that runs while a controller is lent to it, whatever signals arrive."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: A command that was told to end has this long, in seconds.
_GRACE = 10.0
_LOOK = 0.2


class Relay:
    """Passes signals on to the command, so that it ends first and the device goes back after it."""

    def __init__(self) -> None:
        self._signal = 0
        self._since = 0.0
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
        self._since = self._since or time.monotonic()
        self._tell()

    def _tell(self) -> None:
        # Ctrl-C reaches the command from the terminal; a second one would be taken as insisting.
        if self._child and self._signal and self._signal != signal.SIGINT:
            self._child.send_signal(self._signal)

    def run(self, command: Sequence[str]) -> int:
        """The command's exit status as a shell gives it: 128 and the signal that ended it."""
        if self._signal:
            return 128 + self._signal
        self._child = subprocess.Popen(command)
        self._tell()
        while True:
            try:
                status = self._child.wait(_LOOK)
                return status if status >= 0 else 128 - status
            except subprocess.TimeoutExpired:
                self._insist()

    def _insist(self) -> None:
        told = self._signal not in (0, signal.SIGINT)
        if told and self._child and time.monotonic() > self._since + _GRACE:
            self._child.kill()


@contextmanager
def relayed() -> Iterator[Relay]:
    """Signals that would end this process only reach the command while the block runs."""
    relay = Relay()
    before = {number: signal.signal(number, relay) for number in _SIGNALS}
    try:
        yield relay
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
