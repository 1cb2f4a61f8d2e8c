"""One queue served by an asyncio event loop: what every await on a device goes through.

Operations prepared during one turn of the loop are handed over together at its end, and one
wake-up takes in all completions there are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from errno import EBADF, EBUSY, ERANGE, ETIME
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringway._native import ffi, lib
from ringway.buffer import as_offsets, pin
from ringway.completions import block_ops
from ringway.device import Device
from ringway.done import Done
from ringway.errors import (
    ClosedError,
    DeadlineError,
    RangeError,
    RingwayError,
    UnsupportedError,
    last_error,
    operation_error,
)
from ringway.loop_batch import Group, check_offsets
from ringway.queue import Queue
from ringway.timeouts import nanoseconds

_READ: int = lib.RW_READ
_prepare = lib.rw_queue_prepare
_reap = lib.rw_queue_reap

#: Awaits under the device's own timeout are looked at this often, in seconds.
_TICK = 1.0

#: Opcode, offset and span of an operation, and what keeps its memory.
Operation = tuple[int, int, Any, Any]


class LoopQueue:
    """A device's queue with a future for each operation in flight."""

    def __init__(self, device: Device, depth: int) -> None:
        self.device = device
        self._loop = asyncio.get_running_loop()
        self._queue: Queue = device.queue(depth)
        self._handle: Any = self._queue._handle
        self._rows = self._queue._rows
        self._out = self._queue._out
        self._depth = depth
        self._tokens = ffi.new("int64_t[]", depth)
        self._futures: dict[int, asyncio.Future[int]] = {}
        #: What the queue keeps until it is done with it, also when an await is cancelled.
        self._kept: dict[int, Any] = self._queue._memory
        self._backlog: deque[tuple[asyncio.Future[int], Operation]] = deque()
        self._groups: dict[int, Group] = {}
        self._last_group = 0
        self._turning = False
        self._seen: dict[asyncio.Future[Any], float] = {}
        self._fd = self._watch()
        self._ticker = self._loop.call_later(_TICK, self._tick)

    def _watch(self) -> int | None:
        """The event fd; None on a path that does its work when it is reaped."""
        try:
            fd = self._queue.fileno()
        except UnsupportedError:
            return None
        self._loop.add_reader(fd, self._turn)
        return fd

    # ---------------------------------------------------------------- starting

    def _start(
        self, opcode: int, offset: int, buffer: Any, timeout: float | None
    ) -> asyncio.Future[int]:
        return self._add((opcode, offset, *_held(buffer, opcode == _READ)), timeout)

    def _add(self, operation: Operation, timeout: float | None) -> asyncio.Future[int]:
        try:
            token = _prepare(self._handle, *operation[:3], 0)
        except (OverflowError, TypeError):
            raise self._refusal(operation[1]) from None
        return self._add_prepared(token, operation, timeout)

    def _add_prepared(
        self, token: int, operation: Operation, timeout: float | None
    ) -> asyncio.Future[int]:
        """All that the common case does without: errors, a full queue, memory, own timeouts."""
        if token < 0 and token != -EBUSY:
            raise last_error(token)
        future: asyncio.Future[int] = self._loop.create_future()
        if token >= 0:
            self._futures[token] = future
            self._kept[token] = operation[3]
        else:
            self._backlog.append((future, operation))
        self._limit(future, timeout)
        self._turn_soon()
        return future

    def _start_batch(
        self, opcode: int, offsets: Any, buffer: Any, bs: int | None, timeout: float | None
    ) -> asyncio.Future[Done]:
        offsets = as_offsets(offsets)
        span, keep = _held(buffer, opcode == _READ)
        bs = span.length // max(1, len(offsets)) if bs is None else bs
        if self._handle is None:
            raise self._refusal(0)
        future: asyncio.Future[Done] = self._loop.create_future()
        key = self._last_group = self._last_group + 1
        group = Group(block_ops(opcode, offsets, span, bs), keep, key, future)
        check_offsets(self.device, offsets, bs)
        if len(offsets):
            self._groups[key] = self._kept[-key] = group
            self._limit(future, timeout)
            self._turn_soon()
        else:
            group.finish()
        return future

    def _refusal(self, offset: object) -> Exception:
        if self._handle is None:
            return ClosedError(EBADF, f"{self.device.target} is closed")
        if isinstance(offset, int):
            return RangeError(ERANGE, f"offset {offset} is out of range")
        return TypeError(f"an offset is an int, not {type(offset).__name__}")

    # ----------------------------------------------------------- the loop's turn

    def _turn_soon(self) -> None:
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Hands over what was prepared, takes in what has completed, prepares what waited."""
        self._turning = False
        if self._handle is None:
            return
        if self._groups or self._backlog:
            self._feed()
        n = _reap(self._handle, self._out, 0, self._depth, 0)
        if n < 0:
            self._lose(n)
        elif n:
            self._take(self._rows[:n])
        if self._more_at_once(n):
            self._turn_soon()

    def _more_at_once(self, n: int) -> bool:
        """Whether another turn can do something before the event fd says so."""
        if self._fd is None:
            return bool(self._futures or self._groups or self._backlog)
        return n == self._depth or bool(n > 0 and (self._groups or self._backlog))

    def _take(self, rows: NDArray[np.void]) -> None:
        if self._groups:
            rows = self._take_grouped(rows)
        pop = self._futures.pop
        kept = self._kept
        tokens, results = rows["token"].tolist(), rows["result"].tolist()
        for token, result in zip(tokens, results, strict=True):
            future = pop(token)
            if kept:
                kept.pop(token, None)
            if future.done():
                continue
            if result >= 0:
                future.set_result(result)
            else:
                row = rows[tokens.index(token)]
                opcode, status = int(row["opcode"]), int(row["status"])
                future.set_exception(operation_error(opcode, result, status=status))

    def _take_grouped(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Takes in what belongs to batches; returns the rest."""
        keys = rows["user_data"] >> np.uint64(32)
        first = int(keys[0])
        if first and (keys == first).all():  # as a rule one batch has them all
            self._record(first, rows)
            return rows[:0]
        for key in np.unique(keys[keys != 0]).tolist():
            self._record(key, rows[keys == key])
        rest: NDArray[np.void] = rows[keys == 0]
        return rest

    def _record(self, key: int, rows: NDArray[np.void]) -> None:
        group = self._groups[key]
        if group.record(rows):
            group.finish()
            self._drop_group(key)

    def _drop_group(self, key: int) -> None:
        del self._groups[key]
        self._kept.pop(-key, None)

    def _feed(self) -> None:
        """Fills the queue from single operations that wait, then from batches."""
        while self._backlog:
            future, operation = self._backlog[0]
            if not future.done():
                token = _prepare(self._handle, *operation[:3], 0)
                if token == -EBUSY:
                    return
                if token < 0:
                    future.set_exception(last_error(token))
                else:
                    self._futures[token] = future
                    self._kept[token] = operation[3]
            self._backlog.popleft()
        for key, group in list(self._groups.items()):
            self._feed_group(key, group)

    def _feed_group(self, key: int, group: Group) -> None:
        if group.future.done():  # cancelled or too late: what has not begun never will
            group.ops = group.ops[: group.next]
            if group.done == group.next:
                self._drop_group(key)
            return
        room = self._depth - lib.rw_queue_in_flight(self._handle)
        ops = group.ops[group.next : group.next + room]
        if not len(ops):
            return
        n = lib.rw_queue_prepare_many(
            self._handle, ffi.from_buffer("struct rw_op[]", ops), len(ops), self._tokens
        )
        if n < 0:
            self._refuse_rest(key, group, last_error(n))
        else:
            group.next += n

    def _refuse_rest(self, key: int, group: Group, error: RingwayError) -> None:
        """An operation of the batch cannot be: it fails as a whole, once what runs is through."""
        if not group.future.done():
            group.future.set_exception(error)
        group.ops = group.ops[: group.next]
        if group.done == group.next:
            self._drop_group(key)

    # ------------------------------------------------------ timeouts and the end

    def _waiting(self) -> list[asyncio.Future[Any]]:
        groups = (group.future for group in self._groups.values())
        backlog = (future for future, _ in self._backlog)
        return list(chain[asyncio.Future[Any]](self._futures.values(), groups, backlog))

    def _fail_all(self, error: OSError) -> None:
        for future in self._waiting():
            if not future.done():
                future.set_exception(error)

    def _lose(self, code: int) -> None:
        """The queue cannot be used any more: closed under us, or its ring is broken."""
        self._fail_all(last_error(code))
        if code == -EBADF:
            self._futures.clear()
            self._groups.clear()
            self._backlog.clear()

    def _limit(self, future: asyncio.Future[Any], timeout: float | None) -> None:
        if timeout is not None:
            timer = self._loop.call_later(nanoseconds(timeout) / 1e9, _expire, future)
            future.add_done_callback(lambda _: timer.cancel())

    def _tick(self) -> None:
        """Expires awaits older than the device's timeout; costs nothing per operation."""
        now = self._loop.time()
        self._seen = {future: self._seen.get(future, now) for future in self._waiting()}
        for future, since in self._seen.items():
            if now - since >= self.device._timeout_ns / 1e9:
                _expire(future)
        if self._seen:
            self._turn_soon()
        self._ticker = self._loop.call_later(_TICK, self._tick)

    async def _settle(self, timeout: float) -> float:
        """Lets what is in flight complete; returns the seconds that are left."""
        end = self._loop.time() + timeout
        while (self._futures or self._groups or self._backlog) and self._loop.time() < end:
            self._turn()
            await asyncio.sleep(0 if self._fd is None else 0.001)
        return max(0.0, end - self._loop.time())

    def _detach(self) -> None:
        """Leaves the loop; awaits that are left fail."""
        self._ticker.cancel()
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
        self._fail_all(ClosedError(EBADF, f"{self.device.target} was closed"))
        self._handle = None


def _held(buffer: Any, writable: bool) -> tuple[Any, Any]:
    """Its span, and what keeps the memory also while the operation waits for its turn."""
    span, keep = pin(buffer, writable)
    return span, buffer if keep is None else keep


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(
            DeadlineError(ETIME, "the operation did not end in time; it may still happen")
        )
