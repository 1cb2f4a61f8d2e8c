"""A conftest whose machines are processes on this host, over the same ports: exact and quick.

test_vm_plugin.py puts it into the projects that it makes.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ringway.vm.errors import DiedError, MachineError, TimeLimitError
from ringway.vm.job import Job
from ringway.vm.pytest_machines import STARTER, Starter
from ringway.vm.pytest_plugin import IN_MACHINE, PORT, PORT_PLACE

#: Where the project's tests write what a console would show.
CONSOLE = Path("console.txt")


class LocalMachine:
    """A process in the place of a machine. A SIGKILL that it gets is QEMU's death."""

    def __init__(self, job: Job) -> None:
        ours, theirs = socket.socketpair()
        out, their_out = socket.socketpair()
        err, their_err = socket.socketpair()
        self.ports = {PORT: ours, "stdout": out, "stderr": err}
        self._begun = time.monotonic()
        self._ended: int | None = None
        self._selector = selectors.DefaultSelector()
        self._process = subprocess.Popen(
            job.command,
            cwd=job.directory,
            env={**job.environment, PORT_PLACE: str(theirs.fileno())},
            stdin=subprocess.DEVNULL,
            stdout=their_out,
            stderr=their_err,
            pass_fds=[theirs.fileno()],
        )
        for end in (theirs, their_out, their_err):
            end.close()

    @property
    def exit_status(self) -> int | None:
        return 128 - self._ended if self._ended is not None and self._ended < 0 else self._ended

    @property
    def age(self) -> float:
        return time.monotonic() - self._begun

    def on_data(self, port: str, act: Callable[[bytes], None]) -> None:
        self.ports[port].setblocking(False)
        self._selector.register(self.ports[port], selectors.EVENT_READ, (port, act))

    def serve(self, until: Callable[[], bool], deadline: float | None = None) -> None:
        while True:
            # What was written before the end is read before the end is noticed.
            status = self._process.poll()
            while self._read(0.02 if status is None else 0):
                pass
            if status == -signal.SIGKILL:
                raise DiedError("QEMU was killed by signal 9; the machine's log is LOG")
            known, self._ended = self._ended, status
            if until():
                return
            if known is not None:
                raise DiedError("the guest was switched off; the machine's log is LOG")
            if deadline is not None and time.monotonic() > deadline:
                raise TimeLimitError("the time limit passed; the machine's log is LOG")

    def _read(self, patience: float) -> bool:
        """Whether there was anything."""
        some = False
        for key, _ in self._selector.select(patience):
            port, act = key.data
            try:
                data = self.ports[port].recv(65536)
            except ConnectionError:
                data = b""
            if data:
                act(data)
                some = True
            else:
                self._selector.unregister(key.fileobj)
        return some

    def log(self) -> str:
        return CONSOLE.read_text() if CONSOLE.exists() else ""

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for port in self.ports.values():
            port.close()


class LocalStarter(Starter):
    """Starts them. Projects set what goes wrong."""

    #: There are none, with this reason.
    refusal: MachineError | None = None

    def __init__(self) -> None:
        super().__init__("auto", None)

    def manner(self) -> str:
        if self.refusal:
            raise self.refusal
        return "as a process"

    def start(self, job: Job) -> LocalMachine:
        return LocalMachine(job)


def pytest_configure(config: pytest.Config) -> None:
    if IN_MACHINE not in os.environ:
        config.stash[STARTER] = LocalStarter()
