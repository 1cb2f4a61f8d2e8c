"""What every comparison here shares: runs in interleaved pairs, figures, goals."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec


class Refused(Exception):
    """This comparison cannot be made here; the text says why and what to do."""


@dataclass(frozen=True)
class Sample:
    """What one run did."""

    operations: float
    seconds: float
    #: CPU of all threads of the run, kernel and user; 0: not known.
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.operations / self.seconds

    @property
    def cpu_ns(self) -> float:
        """CPU nanoseconds per operation."""
        return self.cpu_seconds * 1e9 / self.operations


#: Runs for about so many seconds.
Run = Callable[[float], Sample]


class Goal(msgspec.Struct, frozen=True):
    """Where a figure should be: at least, at most, or within `limit` of 1."""

    kind: str
    limit: float

    def miss(self, value: float) -> float:
        """How far the value is on the wrong side; 0 or less when the goal is met."""
        if self.kind == "within":
            return abs(value - 1) - self.limit
        return self.limit - value if self.kind == "≥" else value - self.limit


class Level(msgspec.Struct, frozen=True):
    """Medians of one side's runs."""

    rate: float
    cpu_ns: float


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison: a value per pair, in `unit`."""

    command: str
    ours: str
    peer: str
    unit: str
    values: list[float]
    goal: Goal | None = None
    our_level: Level | None = None
    peer_level: Level | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """None where there is no goal."""
        return None if self.goal is None else self.goal.miss(self.median) <= 0


def timed(step: Callable[[], int], seconds: float) -> Sample:
    """Calls `step`, which returns how many operations it did, until the time is over."""
    operations = 0
    cpu, start = time.process_time(), time.perf_counter()
    elapsed = 0.0
    while elapsed < seconds:
        operations += step()
        elapsed = time.perf_counter() - start
    return Sample(operations, elapsed, time.process_time() - cpu)


def rounds(
    runs: Mapping[str, Run], count: int, seconds: float, say: Callable[[str], None]
) -> dict[str, list[Sample]]:
    """A B A B …: each run once per round, so that a round's runs share the machine's mood."""
    samples: dict[str, list[Sample]] = {name: [] for name in runs}
    for turn in range(1, count + 1):
        for name, run in runs.items():
            say(f"{name}, {turn} of {count}")
            samples[name].append(run(seconds))
    return samples


def ratio(
    command: str,
    samples: Mapping[str, Sequence[Sample]],
    ours: str,
    peer: str,
    goal: Goal | None = None,
) -> Figure:
    """Our rate over the peer's, pair by pair."""
    pairs = zip(samples[ours], samples[peer], strict=True)
    return Figure(
        command=command,
        ours=ours,
        peer=peer,
        unit="×",
        values=[our.rate / their.rate for our, their in pairs],
        goal=goal,
        our_level=level(samples[ours]),
        peer_level=level(samples[peer]),
    )


def level(samples: Sequence[Sample]) -> Level:
    """Medians over the runs of one side."""
    return Level(
        rate=statistics.median(sample.rate for sample in samples),
        cpu_ns=statistics.median(sample.cpu_ns for sample in samples),
    )
