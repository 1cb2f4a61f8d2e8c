"""Timeouts: seconds for people, nanoseconds for the core; nothing waits for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from errno import EINTR, EINVAL
from typing import Any

from ringway.errors import ArgumentError

#: What a call waits at most when neither it nor the device was told otherwise, in seconds.
DEFAULT_TIMEOUT = 30.0
#: A wait comes back to Python this often to look after signals, in nanoseconds.
SLICE_NS = 50_000_000
#: How long a call that is given up waits for what is in flight: Ctrl-C shall be quick.
GIVE_UP_NS = 20_000_000
#: How long a device that nobody closed waits for what is in flight, in nanoseconds.
DRAIN_NS = 1_000_000_000

_LONGEST = 1e9


def nanoseconds(seconds: float) -> int:
    """A timeout in nanoseconds. Raises `ArgumentError` unless it is 0 <= seconds <= 1e9."""
    if not 0 <= seconds <= _LONGEST:
        raise ArgumentError(EINVAL, f"a timeout is 0 to {_LONGEST:g} seconds, not {seconds!r}")
    return int(seconds * 1e9)


class Deadline:
    """A moment `timeout_ns` from now."""

    __slots__ = ("_end",)

    def __init__(self, timeout_ns: int) -> None:
        self._end = time.monotonic_ns() + timeout_ns

    def left(self) -> int:
        """Nanoseconds until then, 0 when it has passed."""
        return max(0, self._end - time.monotonic_ns())

    def slice(self) -> int:
        """Nanoseconds to wait before looking after signals again; 0 when the time is over."""
        return min(SLICE_NS, self.left())


def close_within(close: Callable[[Any, int], int], handle: Any, timeout_ns: int) -> int:
    """Closes by a call of the core that a signal may interrupt; its answer to the last try."""
    deadline = Deadline(timeout_ns)
    code = -EINTR
    while code == -EINTR:
        code = close(handle, deadline.left())
    return code
