"""A machine's streams joined to this process's own."""

from __future__ import annotations

import os
import socket
import threading

from .machine import Machine


def join_output(machine: Machine, stdout: int = 1, stderr: int = 2) -> None:
    """What the command writes goes to these file descriptors."""
    machine.on_data("stdout", lambda data: _write(stdout, data))
    machine.on_data("stderr", lambda data: _write(stderr, data))


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def join_input(machine: Machine, stdin: int = 0, escape: bytes = b"") -> threading.Event:
    """The command reads what this file descriptor gives, to its end.

    escape: bytes that are not passed on but set the event that is returned. A thread of its own
    copies: not every file can be waited for with others.
    """
    port = machine.ports["stdin"].dup()
    port.setblocking(True)
    escaped = threading.Event()
    thread = threading.Thread(
        target=_copy, args=(stdin, port, escape, escaped), daemon=True, name="ringway-stdin"
    )
    thread.start()
    return escaped


def _copy(source: int, port: socket.socket, escape: bytes, escaped: threading.Event) -> None:
    with port:
        try:
            while data := os.read(source, 65536):
                if escape and escape in data:
                    escaped.set()
                    return
                port.sendall(data)
            port.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the machine has ended, or there is no input: nothing to copy then


def close_input(machine: Machine) -> None:
    """The command's input is at its end."""
    machine.ports["stdin"].shutdown(socket.SHUT_WR)
