"""One thread's wait for all that a machine may say: its ports, its end, a nudge from elsewhere."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

#: Bytes taken from a port at a time.
_CHUNK = 65536


@dataclass(frozen=True)
class _Source:
    port: socket.socket
    act: Callable[[bytes], None]
    has_room: Callable[[], bool]


class Loop:
    """Reads ports and hands on what comes; a source without room rests until it has some."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._resting: list[_Source] = []
        self._nudged, self._nudge = socket.socketpair()
        self._nudged.setblocking(False)
        self._nudge.setblocking(False)
        self._selector.register(self._nudged, selectors.EVENT_READ)
        self._end: int | None = None

    def watch_end(self, pidfd: int) -> None:
        """`serve` tells when this becomes readable; pidfd_open(2)."""
        self._end = pidfd
        self._selector.register(pidfd, selectors.EVENT_READ)

    def add(
        self, port: socket.socket, act: Callable[[bytes], None], has_room: Callable[[], bool]
    ) -> None:
        """`act` gets what comes from the port, while it has room."""
        self._selector.register(port, selectors.EVENT_READ, _Source(port, act, has_room))

    def nudge(self) -> None:
        """Ends a wait, from any thread."""
        with suppress(OSError):  # full: it is nudged already; closed: nobody waits
            self._nudge.send(b"x")

    @property
    def is_resting(self) -> bool:
        """Whether a source is left alone for want of room."""
        return bool(self._resting)

    def serve(self, timeout: float) -> tuple[int, bool]:
        """One round: how many pieces were handed on, and whether the watched process has ended."""
        self._wake_sources()
        pieces, ended = 0, False
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._nudged:
                self._nudged.recv(_CHUNK)
            elif key.data is None:
                ended = True
            else:
                pieces += self._read(key.data)
        return pieces, ended

    def _wake_sources(self) -> None:
        ready = [source for source in self._resting if source.has_room()]
        for source in ready:
            self._resting.remove(source)
            self._selector.register(source.port, selectors.EVENT_READ, source)

    def _read(self, source: _Source) -> bool:
        try:
            data = source.port.recv(_CHUNK)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        if not data:
            self._selector.unregister(source.port)
            return False
        source.act(data)
        if not source.has_room():
            self._selector.unregister(source.port)
            self._resting.append(source)
        return True

    def close(self) -> None:
        self._selector.close()
        self._nudged.close()
        self._nudge.close()
