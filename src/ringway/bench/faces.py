"""The faces of the API, each as the loop a caller would write with it."""

from __future__ import annotations

import asyncio
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import ringway

from .api import offsets_of
from .executor import RunSpec

#: Offsets drawn at a time.
_BLOCK = 4096
#: Single operations between two looks at the clock.
_SINGLES = 32
#: One call into a batch shall not take longer than this, for Ctrl-C and the clock.
_SLICE = 0.05
_TIMEOUT = 30.0


class Meter(Protocol):
    """What a loop tells its work to; the answer is whether to go on."""

    def add(self, latencies: NDArray[np.int64], moved: int, errors: int = 0) -> bool: ...


class Face(ABC):
    """An opened target with memory for `depth` operations; loop() works until told to stop."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.work = spec.workload
        self.device: Any = None

    def __enter__(self) -> Face:
        self.device = ringway.open(
            self.spec.target,
            self.spec.path,
            writable=self.work.writes,
            direct=self.work.direct,
        )
        self.buffer = self.device.alloc(self.slots * self.work.bs)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.device.close()

    @property
    def slots(self) -> int:
        """Operations that the memory holds."""
        return self.work.depth

    def slot(self, index: int) -> Any:
        return self.buffer[index * self.work.bs : (index + 1) * self.work.bs]

    def offsets(self, count: int, first: int) -> NDArray[np.int64]:
        return offsets_of(self.work, self.device.size, count, first)

    def stream(self) -> Iterator[int]:
        """Offset after offset, drawn many at a time: drawing is not what is measured."""
        for first in itertools.count(0, _BLOCK):
            yield from self.offsets(_BLOCK, first).tolist()

    @abstractmethod
    def loop(self, meter: Meter) -> None:
        """Works until the meter says that it is enough."""


class Batch(Face):
    """read_many and write_many: one call for many operations."""

    _MOST = 4096

    @property
    def slots(self) -> int:
        # Enough for a long batch, within reason for large blocks.
        return max(self.work.depth, min(self._MOST, (64 << 20) // self.work.bs))

    def loop(self, meter: Meter) -> None:
        count, first, go_on = self.work.depth, 0, True
        while go_on:
            offsets = self.offsets(count, first)
            begin = time.perf_counter()
            done = self._many(offsets)
            count = self._next_count(count, time.perf_counter() - begin)
            first += len(offsets)
            good = done.result[done.result > 0]
            go_on = meter.add(done.latency_ns, int(good.sum()), len(offsets) - len(good))

    def _many(self, offsets: NDArray[np.int64]) -> Any:
        many = self.device.write_many if self.work.writes else self.device.read_many
        return many(offsets, self.buffer, bs=self.work.bs, depth=self.work.depth)

    def _next_count(self, count: int, seconds: float) -> int:
        wanted = count * 2 if seconds < _SLICE / 2 else count
        return max(self.work.depth, min(wanted, self.slots))


class Queue(Face):
    """An explicit queue: prepare, submit, reap, one Python object per operation."""

    def loop(self, meter: Meter) -> None:
        with self.device.queue(depth=self.work.depth) as queue:
            stream, go_on = self.stream(), True
            place = {
                self._start(queue, slot, next(stream)): slot for slot in range(self.work.depth)
            }
            while go_on:
                queue.submit()
                done = queue.reap(min=self.work.batch, timeout=_TIMEOUT)
                for completion in done:
                    slot = place.pop(completion.token)
                    place[self._start(queue, slot, next(stream))] = slot
                go_on = self._tell(meter, done)

    def _start(self, queue: Any, slot: int, offset: int) -> int:
        prepare = queue.write if self.work.writes else queue.read
        return int(prepare(offset, self.slot(slot)))

    def _tell(self, meter: Meter, done: Any) -> bool:
        good = done.result[done.result > 0]
        return meter.add(done.latency_ns, int(good.sum()), len(done) - len(good))


class Sync(Face):
    """readinto and write: one call, one operation."""

    def loop(self, meter: Meter) -> None:
        transfer: Callable[[int, Any], Any] = (
            self.device.write if self.work.writes else self.device.readinto
        )
        stream, go_on = self.stream(), True
        latencies = np.empty(_SINGLES, dtype=np.int64)
        target = self.slot(0)
        while go_on:
            moved = 0
            for index, offset in zip(range(_SINGLES), stream, strict=False):
                begin = time.perf_counter_ns()
                moved += transfer(offset, target)
                latencies[index] = time.perf_counter_ns() - begin
            go_on = meter.add(latencies.copy(), moved)


class Asyncio(Face):
    """Awaits: as many tasks as the queue is deep, each with one operation at a time."""

    def __enter__(self) -> Face:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def loop(self, meter: Meter) -> None:
        asyncio.run(self._all(meter))

    async def _all(self, meter: Meter) -> None:
        async with ringway.aopen(
            self.spec.target,
            self.spec.path,
            writable=self.work.writes,
            direct=self.work.direct,
            depth=self.work.depth,
        ) as opened:
            self.device = opened.device
            self.buffer = opened.alloc(self.slots * self.work.bs)
            self._going = True
            self._stream = self.stream()
            transfer = opened.write if self.work.writes else opened.readinto
            await asyncio.gather(
                *(self._one(meter, slot, transfer) for slot in range(self.work.depth))
            )

    async def _one(self, meter: Meter, slot: int, transfer: Callable[[int, Any], Any]) -> None:
        memory, latencies, moved = self.slot(slot), [], 0
        while self._going:
            begin = time.perf_counter_ns()
            moved += await transfer(next(self._stream), memory)
            latencies.append(time.perf_counter_ns() - begin)
            if len(latencies) == _SINGLES:
                self._going &= meter.add(np.array(latencies, dtype=np.int64), moved)
                latencies, moved = [], 0


FACES: dict[str, type[Face]] = {
    "batch": Batch,
    "queue": Queue,
    "sync": Sync,
    "asyncio": Asyncio,
}
