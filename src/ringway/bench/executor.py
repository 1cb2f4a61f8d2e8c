"""Who runs a workload: the protocol that native loop, API faces, fio and mock share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Literal, Protocol

from .record import Measurement
from .workload import Workload

Tool = Literal["ringway", "fio"]
#: Faces of the API that can be measured; native is the loop in C.
APIS = ("native", "batch", "queue", "sync", "asyncio")


class RunError(Exception):
    """The I/O failed, or could not begin; the text is one sentence that says what to do."""


class SpecError(RunError):
    """What was asked for cannot be: nothing was begun."""


@dataclass(frozen=True)
class RunSpec:
    """One run: this workload, over this path, on this target."""

    target: str
    #: The path with its options, ``io_uring+fixed``; None: the best that works.
    path: str | None
    workload: Workload
    api: str = "native"
    tool: Tool = "ringway"

    def with_workload(self, workload: Workload) -> RunSpec:
        return replace(self, workload=workload)


@dataclass(frozen=True)
class Status:
    """How far a run is. Seconds count from the end of the ramp."""

    seconds: float = 0.0
    operations: int = 0
    ramping: bool = True


#: Told how far the run is, several times a second; answers whether it shall go on.
Progress = Callable[[Status], bool]


def quiet(_: Status) -> bool:
    """Progress for callers who want none."""
    return True


class Executor(Protocol):
    """Runs a RunSpec.

    When progress answers False the run ends soon, and what was measured so far is returned with
    ``interrupted`` set. Raises RunError when the I/O failed.
    """

    def run(self, spec: RunSpec, progress: Progress) -> Measurement: ...


def reason_of(error: RunError | OSError) -> str:
    """The sentence of an error, without Python's decoration."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    return str(error)


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
