"""One machine: started, its ports served from one loop, ended with everything it had."""

from __future__ import annotations

import json
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from .errors import DiedError, MachineError, PanicError, StoppedError, TimeLimitError
from .host import Host
from .job import OUTPUTS, Job
from .lines import Lines, send_line
from .loop import Loop
from .process import QemuProcess, keep_log
from .qmp import Monitor
from .setup import Prepared
from .stream_end import StreamEnd, new_mark
from .wiring import Wiring

#: From QEMU's start to the command's, in seconds: many times what emulation takes.
BOOT_LIMIT = 120.0
#: How often it is asked whether time is up, in seconds.
_ROUND = 0.2
#: Output that nothing came of for so long after the command's end will not come, in seconds.
_SILENCE = 5.0
#: Longest that a guest may take to read an answer, in seconds.
_PATIENCE = 5.0


@dataclass
class _Told:
    """What the guest has said about itself."""

    started_after: float | None = None
    exit_status: int | None = None
    failure: str | None = None
    lines: Lines = field(default_factory=Lines)

    def take(self, data: bytes) -> None:
        for line in self.lines.take(data):
            word, _, rest = line.partition(" ")
            if word == "started":
                self.started_after = float(rest)
            elif word == "exit":
                self.exit_status = int(rest)
            else:
                self.failure = rest


class Machine:
    """A running machine with one command in it; a context manager that ends it.

    ports: the host's ends, non-blocking sockets; `serve` reads those that `on_data` names. One
    thread uses it.
    """

    def __init__(self, host: Host, job: Job) -> None:
        self.job = job
        self.ports: dict[str, socket.socket] = {}
        self._told = _Told()
        self._requests = Lines()
        self._mark = new_mark()
        self._ends: list[StreamEnd] = []
        self._begun = self._last_word = time.monotonic()
        self._monitor: Monitor | None = None
        self._qemu = self._start(host)
        self._loop = Loop()
        self._loop.watch_end(self._qemu.pidfd)
        self.on_data("status", self._told.take)
        self.on_data("qmp", self._take_requests)

    def _start(self, host: Host) -> QemuProcess:
        wiring = Wiring(self.job.all_ports)
        console = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            with Prepared(host, self.job, wiring, console.fileno(), self._mark) as prepared:
                qemu = QemuProcess(prepared.arguments, console, prepared.fds)
        except BaseException:
            console.close()
            wiring.close_ours()
            raise
        finally:
            wiring.close_theirs()
        self.ports = wiring.ports
        self._monitor = Monitor(wiring.monitor)
        return qemu

    # ------------------------------------------------------------ facts

    @property
    def started(self) -> bool:
        """Whether the command has begun."""
        return self._told.started_after is not None

    @property
    def exit_status(self) -> int | None:
        """The command's, 128 + N where signal N ended it; None while it runs."""
        return self._told.exit_status

    @property
    def age(self) -> float:
        """Seconds since QEMU was started."""
        return time.monotonic() - self._begun

    def monitor(self) -> Monitor:
        """QEMU's monitor."""
        assert self._monitor is not None
        return self._monitor

    # ------------------------------------------------------------ serving

    def on_data(
        self,
        port: str,
        act: Callable[[bytes], None],
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        """`act` gets what the guest writes to a port, as it comes; nothing while it has no room.

        Who has room again without having been asked says so with `wake`.
        """
        if port in OUTPUTS:
            end = StreamEnd(self._mark)
            self._ends.append(end)
            take, act = act, lambda data: take(end.take(data))
        self._loop.add(self.ports[port], act, has_room)

    def wake(self) -> None:
        """Ends a wait of `serve`, from any thread."""
        self._loop.nudge()

    def serve(
        self,
        until: Callable[[], bool],
        deadline: float | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Serves the ports until `until()`.

        deadline: of time.monotonic(). stop: asked several times a second. Raises TimeLimitError
        past the deadline, and where the machine does not come up in time; StoppedError after
        `stop()`; PanicError and DiedError when the machine ends first. Then its log is kept.
        """
        while not until():
            self._check_time(deadline)
            if stop():
                raise self._failed(StoppedError, "interrupted")
            pieces, ended = self._loop.serve(_ROUND)
            if pieces or self._loop.is_resting:
                self._last_word = time.monotonic()
            if until():
                return
            if self._told.failure:
                raise self._failed(PanicError, self._told.failure)
            if ended and not pieces:
                raise self._death()

    def wait(self, deadline: float | None = None, stop: Callable[[], bool] = lambda: False) -> int:
        """Serves until the command has ended and its output has come; its exit status."""
        self.serve(self._is_over, deadline, stop)
        assert self.exit_status is not None
        return self.exit_status

    def _is_over(self) -> bool:
        """A command may have killed what carries its output: then silence is the end."""
        if self.exit_status is None:
            return False
        silent = time.monotonic() - self._last_word > _SILENCE
        return silent or all(end.reached for end in self._ends)

    def _take_requests(self, data: bytes) -> None:
        """The guest's commands for the monitor, one JSON object a line; answered alike."""
        for line in self._requests.take(data):
            try:
                send_line(self.ports["qmp"], json.dumps(self._answer(line)), _PATIENCE)
            except OSError as error:
                raise self._failed(DiedError, "the guest does not read the answer") from error

    def _answer(self, line: str) -> dict[str, Any]:
        try:
            request = json.loads(line)
            result = self.monitor().execute(request["execute"], request.get("arguments"))
        except (MachineError, ValueError, KeyError, TypeError) as error:
            return {"error": str(error) or repr(error)}
        return {"return": result}

    # ------------------------------------------------------------ endings

    def _check_time(self, deadline: float | None) -> None:
        if deadline is not None and time.monotonic() > deadline:
            raise self._failed(TimeLimitError, "the time limit passed before the command ended")
        if not self.started and self.age > BOOT_LIMIT:
            raise self._failed(
                TimeLimitError, f"the machine did not come up within {BOOT_LIMIT:.0f} s"
            )

    def _death(self) -> MachineError:
        """QEMU has ended by itself, and the command had not."""
        status = self._qemu.status
        panic = _last_line(self._qemu.log(), "Kernel panic")
        told = _last_line(self._qemu.log(), "ringway: ")
        # It also tells of each injected fault there, without its name.
        error = _last_line(self._qemu.messages(), "qemu-system")
        if panic:
            return self._failed(PanicError, f"the guest's kernel panicked: {panic}")
        if told:
            return self._failed(PanicError, told.split("ringway: ", 1)[1])
        if status is not None and status < 0:
            return self._failed(DiedError, f"QEMU was killed by signal {-status}")
        if error:
            return self._failed(DiedError, f"QEMU ended: {error}")
        return self._failed(DiedError, "the guest was switched off before its command ended")

    def _failed(self, kind: type[MachineError], text: str) -> MachineError:
        log = keep_log(self._qemu)
        return kind(f"{text}; the machine's log is {log}", log)

    def log(self) -> str:
        """What the guest's kernel has written to its console so far."""
        return self._qemu.log()

    def close(self) -> None:
        """Ends QEMU, whatever it is doing."""
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        self._qemu.close()
        self._loop.close()
        for port in self.ports.values():
            port.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _last_line(text: str, word: str) -> str | None:
    """The last line that has the word in it."""
    return next((line.strip() for line in reversed(text.splitlines()) if word in line), None)
