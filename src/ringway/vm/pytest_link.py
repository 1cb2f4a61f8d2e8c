"""The pytest in a machine, as the host's sees it: told which tests to run, reporting on them.

Both ends write lines of JSON. The guest says ``ready`` and gets a plan, says ``collected`` and gets
one ``run`` after the other; what comes back in between is an event for the host's own pytest.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .errors import MachineError, TimeLimitError
from .lines import Lines, send_line
from .pytest_plugin import PORT

#: What is kept of what the guest writes beside its reports, in bytes.
_TAIL = 8192
#: Lines of the console that a failure shows.
_CONSOLE_LINES = 60
#: After the limit the guest still has this long to show where it hangs, in seconds.
_GRACE = 5.0
#: Longest for the machine and its pytest to come up, and for its tests to be collected, in seconds.
_START_LIMIT = 300.0
#: Longest for session-wide fixtures to end and for a line to be taken, in seconds.
_END_LIMIT = 60.0

Event = dict[str, Any]


class MachineLike(Protocol):
    """What is needed of a machine; see machine.py."""

    ports: Any

    @property
    def exit_status(self) -> int | None: ...
    @property
    def age(self) -> float: ...
    def on_data(self, port: str, act: Callable[[bytes], None]) -> None: ...
    def serve(self, until: Callable[[], bool], deadline: float | None = None) -> None: ...
    def log(self) -> str: ...
    def close(self) -> None: ...


class GuestError(Exception):
    """The pytest in the machine is of no more use; sections: what a report shows beside it."""

    def __init__(self, text: str, sections: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(text)
        self.sections = list(sections)


class GuestExit(Exception):
    """A test has asked for the whole session to end."""

    def __init__(self, reason: str, status: int | None) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class _Stream:
    """What the guest writes beside its reports: shown as it comes, and the end kept."""

    fd: int
    #: Not yet while it collects: what that gives was seen when the host did the same.
    shown: bool = False
    tail: bytes = b""

    def take(self, data: bytes) -> None:
        self.tail = (self.tail + data)[-_TAIL:]
        while self.shown and data:
            data = data[os.write(self.fd, data) :]


@dataclass
class Guest:
    """A machine and the pytest in it. Methods raise GuestError when that has come to its end."""

    machine: MachineLike
    log: Path | None = None
    #: Tests that were asked for and not found there, with the reason.
    missing: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lines = Lines()
        self._answers: deque[Event] = deque()
        self._act: Callable[[Event], None] = lambda event: None
        self._streams = {"stdout": _Stream(1), "stderr": _Stream(2)}
        self.machine.on_data(PORT, self._take)
        for name, stream in self._streams.items():
            self.machine.on_data(name, stream.take)

    def start(self, ids: Sequence[str], files: Sequence[str]) -> None:
        """Waits for the machine and its pytest, which collects these tests."""
        self._await("ready", _START_LIMIT, "did not start")
        self._send(ids=ids, files=files)
        collected = self._await("collected", _START_LIMIT, "did not collect its tests")
        self.missing = collected["missing"]
        for stream in self._streams.values():
            stream.shown, stream.tail = True, b""

    def run(
        self, test: str, following: str | None, limit: float, act: Callable[[Event], None]
    ) -> None:
        """Runs one test; `act` gets the events meanwhile. Raises GuestExit too."""
        self._act = act
        self._send(run=test, next=following, limit=limit)
        done = self._await("done", limit + _GRACE, "did not end the test", limit)
        if "exit" in done:
            raise GuestExit(done["exit"], done["status"])

    def end(self) -> None:
        """Lets the session there end: what it still has to say is an error."""
        self._send(end=True)
        ended = self._await("end", _END_LIMIT, "did not end its session")
        if ended["error"]:
            raise GuestError(ended["error"])

    def close(self) -> None:
        """Ends the machine, whatever it does."""
        try:
            if self.log is not None:
                self.log.write_text(self.machine.log())
        finally:
            self.machine.close()

    # ------------------------------------------------------------ lines

    def _send(self, **message: Any) -> None:
        try:
            send_line(self.machine.ports[PORT], json.dumps(message), _END_LIMIT)
        except OSError as error:
            raise self._broken(f"the machine takes no more lines: {error}") from error

    def _take(self, data: bytes) -> None:
        for line in self._lines.take(data):
            event = json.loads(line)
            if event["kind"] in ("ready", "collected", "done", "end", "internal"):
                self._answers.append(event)
            else:
                self._act(event)

    def _await(self, kind: str, limit: float, failing: str, said: float | None = None) -> Event:
        """The guest's next word, which has to be of this kind."""
        failing = f"the pytest in the machine {failing}"
        try:
            self._serve(limit)
        except TimeLimitError as error:
            raise self._broken(f"{failing} within {said or limit:g} s: {error}") from error
        except MachineError as error:
            raise self._broken(str(error)) from error
        if not self._answers:
            raise self._broken(f"the pytest in the machine {_ending(self.machine.exit_status)}")
        answer = self._answers.popleft()
        if answer["kind"] != kind:
            raise self._broken(answer.get("text", failing))
        return answer

    def _serve(self, limit: float) -> None:
        """Until there is an answer, or there can be none any more."""
        machine = self.machine
        machine.serve(
            lambda: bool(self._answers) or machine.exit_status is not None,
            time.monotonic() + limit,
        )
        if not self._answers:
            # What it said before it ended comes over another port, and may still be on its way.
            with suppress(MachineError):
                machine.serve(lambda: bool(self._answers), time.monotonic() + _GRACE)

    def _broken(self, text: str) -> GuestError:
        shown = {
            f"Written to {name} in the machine": stream.tail.decode(errors="replace")
            for name, stream in self._streams.items()
        }
        console = self.machine.log().splitlines()[-_CONSOLE_LINES:]
        shown["End of the machine's console"] = "\n".join(console)
        return GuestError(text, [(title, tail) for title, tail in shown.items() if tail.strip()])


def _ending(status: int | None) -> str:
    if status is not None and status > 128:
        return f"was killed by signal {status - 128}"
    return f"ended with status {status}"
