"""A machine's streams joined to this process's own, none of which can hold up the other side."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections import deque
from contextlib import suppress
from types import TracebackType

from .machine import Machine

#: Bytes that wait to be written before no more are taken from the machine.
_MOST_PENDING = 1 << 20
_CHUNK = 65536


class Output:
    """What the command writes to a stream goes to a file descriptor.

    A thread writes, so that a reader who does not read keeps nobody from noticing a deadline.
    """

    def __init__(self, machine: Machine, port: str, fd: int) -> None:
        self._fd = fd
        self._wake = machine.wake
        self._parts: deque[bytes] = deque()
        self._pending = 0
        self._error: OSError | None = None
        self._more = threading.Condition()
        self._over = False
        threading.Thread(target=self._write_all, daemon=True, name=f"ringway-{port}").start()
        machine.on_data(port, self._put, self._has_room)

    def is_drained(self) -> bool:
        """Whether all was written that came. Raises OSError where it could not be."""
        if self._error is not None:
            raise self._error
        return not self._pending

    def close(self) -> None:
        """Writes no more, once what is being written is."""
        with self._more:
            self._over = True
            self._more.notify()

    def _put(self, data: bytes) -> None:
        self.is_drained()
        with self._more:
            self._parts.append(data)
            self._pending += len(data)
            self._more.notify()

    def _has_room(self) -> bool:
        return self._pending < _MOST_PENDING

    def _write_all(self) -> None:
        while True:
            with self._more:
                self._more.wait_for(lambda: self._parts or self._over)
                if self._over:
                    return
                part = self._parts.popleft()
            try:
                _write(self._fd, part)
            except OSError as error:
                self._error = error
            with self._more:
                self._pending -= len(part)
            self._wake()
            if self._error is not None:
                return


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # whoever gave us the descriptor wants it so
            select.select([], [fd], [])


class Input:
    """The command reads what a file descriptor gives, to its end; a context manager.

    escape: bytes that are not passed on but set `escaped`. Not every file can be waited for with
    others, so a thread of its own copies; at the end of the block it takes nothing more.
    """

    def __init__(self, machine: Machine, fd: int = 0, escape: bytes = b"") -> None:
        self.escaped = threading.Event()
        self._port = machine.ports["stdin"].dup()
        self._port.setblocking(True)
        self._fd, self._escape = fd, escape
        self._end, self._our_end = socket.socketpair()
        self._thread = threading.Thread(target=self._copy, daemon=True, name="ringway-stdin")
        self._thread.start()

    def __enter__(self) -> Input:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._our_end.close()
        # Where it is inside a write, this ends that; it may be through by itself.
        with suppress(OSError):
            self._port.shutdown(socket.SHUT_RDWR)
        self._thread.join(1.0)

    def _copy(self) -> None:
        with self._port, self._end:
            try:
                while data := self._take():
                    self._port.sendall(data)
            except OSError:
                pass  # the machine has ended, or there is no input: its end is all there is to tell
            finally:
                _end_of(self._port)

    def _take(self) -> bytes:
        """What there is next; nothing at the end, after an escape, or when nobody wants it."""
        look = select.poll()
        look.register(self._fd, select.POLLIN)
        look.register(self._end, select.POLLIN)
        if any(fd == self._end.fileno() for fd, _ in look.poll()):
            return b""
        data = os.read(self._fd, _CHUNK)
        if self._escape and self._escape in data:
            self.escaped.set()
            return b""
        return data


def close_input(machine: Machine) -> None:
    """The command's input is at its end."""
    _end_of(machine.ports["stdin"])


def _end_of(port: socket.socket) -> None:
    with suppress(OSError):  # QEMU may have closed its end first
        port.shutdown(socket.SHUT_WR)
