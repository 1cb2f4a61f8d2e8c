"""A command that runs while a controller is lent to it, whatever signals arrive."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from ringway.signals import ENDINGS, handled

#: A command that was told to end has this long, in seconds.
_GRACE = 10.0
_LOOK = 0.2


class Relay:
    """Passes signals on to the command, so that it ends first and the device goes back after it."""

    def __init__(self) -> None:
        self._signal = 0
        #: The signal to pass on, and the time of the first of them.
        self._passed = 0
        self._since = 0.0
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
        # Ctrl-C reaches the command from the terminal; a second one would be taken as insisting.
        if number != signal.SIGINT or not _at_terminal():
            self._passed = number
            self._since = self._since or time.monotonic()
            self._tell()

    def _tell(self) -> None:
        if self._child and self._passed:
            self._child.send_signal(self._passed)

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
        if self._child and self._since and time.monotonic() > self._since + _GRACE:
            self._child.kill()


def _at_terminal() -> bool:
    """Whether a terminal's keys send signals to this process and the command in its group."""
    try:
        terminal = os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


@contextmanager
def relayed() -> Iterator[Relay]:
    """Signals that would end this process only reach the command while the block runs.

    Those that are ignored, as under nohup(1), stay so, for the command too.
    """
    relay = Relay()
    heeded = [number for number in ENDINGS if signal.getsignal(number) != signal.SIG_IGN]
    with handled(relay, heeded):
        yield relay
