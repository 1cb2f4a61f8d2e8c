"""asyncio: awaits over one queue of the event loop's thread, woken by an event fd.

Operations prepared during one turn of the loop are handed over together at its end, and one
wake-up takes in all completions there are. A cancelled await leaves its operation in flight, and
the memory with it, until the device is done.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Generator
from errno import EBADF, EBUSY, ERANGE, ETIME
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringway._native import ffi, lib
from ringway.buffer import Buffer, alloc, as_offsets, bare_span, pin, register
from ringway.device import Device, Done
from ringway.device import open as open_device
from ringway.errors import (
    ClosedError,
    DeadlineError,
    RangeError,
    UnsupportedError,
    check,
    last_error,
    operation_error,
)
from ringway.queue import Queue, block_ops
from ringway.timeouts import DEFAULT_TIMEOUT, nanoseconds

_READ: int = lib.RW_READ
_WRITE: int = lib.RW_WRITE
_prepare = lib.rw_queue_prepare
_reap = lib.rw_queue_reap

#: Awaits under the device's own timeout are looked at this often, in seconds.
_TICK = 1.0

#: Opcode, offset and span of an operation, and what keeps its memory.
_Arguments = tuple[int, int, Any, Any]


class _Group:
    """A batch under way: one future for many operations."""

    def __init__(
        self, ops: NDArray[np.void], memory: Any, key: int, future: asyncio.Future[Done]
    ) -> None:
        ops["user_data"] = (key << 32) + np.arange(len(ops))
        self.ops = ops
        self.memory = memory
        self.future = future
        self.result = Done(len(ops))
        self.next = 0
        self.done = 0

    def record(self, rows: NDArray[np.void]) -> bool:
        """Takes completions in; true when they were the last."""
        indexes = (rows["user_data"] & 0xFFFFFFFF).astype(np.int64)
        self.result.result[indexes] = rows["result"]
        self.result.latency_ns[indexes] = rows["latency_ns"]
        self.done += len(rows)
        return self.done == len(self.ops)

    def finish(self) -> None:
        if not self.future.done():
            self.result._batch.failed = np.count_nonzero(self.result.result < 0)
            self.result._batch.opcode = int(self.ops["opcode"][0]) if len(self.ops) else _READ
            self.future.set_result(self.result)


class AsyncDevice:
    """A device for one event loop; made by `ringway.aopen`.

    Methods return futures to await. Their operations run while the loop does, `depth` at a time;
    more than that wait their turn. Offsets, lengths, memory and errors are those of
    `ringway.Device`. Timeouts under a second may be late by the loop's own delays; the device's
    default one by a second.
    """

    def __init__(self, device: Device, depth: int) -> None:
        self.device = device
        self._loop = asyncio.get_running_loop()
        self._queue: Queue = device.queue(depth)
        self._handle = self._queue._handle
        self._out = self._queue._out
        self._rows = self._queue._rows
        self._depth = depth
        self._tokens = ffi.new("int64_t[]", depth)
        self._futures: dict[int, asyncio.Future[int]] = {}
        self._foreign: dict[int, Any] = self._queue._memory
        self._backlog: deque[tuple[asyncio.Future[int], _Arguments]] = deque()
        self._groups: dict[int, _Group] = {}
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

    def __repr__(self) -> str:
        return f"<Async{repr(self.device)[1:]}"

    @property
    def size(self) -> int:
        """Bytes, as it was when opened."""
        return self.device.size

    @property
    def path(self) -> str:
        """Name of the path in use."""
        return self.device.path

    @property
    def why(self) -> str:
        """Why this path, and why not others."""
        return self.device.why

    def alloc(self, length: int) -> Buffer:
        """A zeroed buffer of `length` bytes on page boundaries; it outlives the device."""
        return alloc(length)

    def register(self, owner: Any) -> Buffer:
        """Memory the caller owns as a `Buffer` in place; see `ringway.register`."""
        return register(owner)

    # -------------------------------------------------------------- operations

    def readinto(
        self, offset: int, buffer: Any, *, timeout: float | None = None
    ) -> asyncio.Future[int]:
        """Fills `buffer` from `offset`; the bytes read."""
        return self._start(_READ, offset, buffer, timeout)

    def write(
        self, offset: int, buffer: Any, *, timeout: float | None = None
    ) -> asyncio.Future[int]:
        """Writes all of `buffer` at `offset`; the bytes written."""
        return self._start(_WRITE, offset, buffer, timeout)

    def flush(self, *, timeout: float | None = None) -> asyncio.Future[int]:
        """Makes completed writes durable."""
        return self._add((lib.RW_FLUSH, 0, bare_span(0), None), timeout)

    def discard(
        self, offset: int, length: int, *, timeout: float | None = None
    ) -> asyncio.Future[int]:
        """Tells the device that these bytes are no longer needed."""
        return self._add((lib.RW_DISCARD, offset, bare_span(length), None), timeout)

    def write_zeroes(
        self, offset: int, length: int, *, timeout: float | None = None
    ) -> asyncio.Future[int]:
        """Makes these bytes read as zeroes."""
        return self._add((lib.RW_WRITE_ZEROES, offset, bare_span(length), None), timeout)

    async def read(self, offset: int, length: int, *, timeout: float | None = None) -> bytes:
        """`length` bytes at `offset`, copied; neither has to be aligned."""
        first, span, end = self.device._covering(offset, length)
        if not span:
            return b""
        buffer = alloc(span)[:span]
        await self.readinto(first, buffer, timeout=timeout)
        return bytes(buffer[offset - first : end - first])

    def read_many(
        self, offsets: Any, buffer: Any, bs: int | None = None, *, timeout: float | None = None
    ) -> asyncio.Future[Done]:
        """Reads many blocks with one await; see `ringway.Device.read_many`."""
        return self._batch(_READ, offsets, buffer, bs, timeout)

    def write_many(
        self, offsets: Any, buffer: Any, bs: int | None = None, *, timeout: float | None = None
    ) -> asyncio.Future[Done]:
        """Writes many blocks with one await; the counterpart of `read_many`."""
        return self._batch(_WRITE, offsets, buffer, bs, timeout)

    def _start(
        self, opcode: int, offset: int, buffer: Any, timeout: float | None
    ) -> asyncio.Future[int]:
        span = buffer._span if type(buffer) is Buffer else None
        if span is None or timeout is not None:
            return self._add((opcode, offset, *pin(buffer, opcode == _READ)), timeout)
        try:
            token = _prepare(self._handle, opcode, offset, span, 0)
        except OverflowError:
            raise RangeError(ERANGE, f"offset {offset} is out of range") from None
        if token < 0:
            return self._add_slowly(token, (opcode, offset, span, None), None)
        future = self._futures[token] = self._loop.create_future()
        if not self._turning:
            self._turn_soon()
        return future

    def _add(self, arguments: _Arguments, timeout: float | None) -> asyncio.Future[int]:
        try:
            token = _prepare(self._use(), *arguments[:3], 0)
        except OverflowError:
            raise RangeError(ERANGE, f"offset {arguments[1]} is out of range") from None
        return self._add_slowly(token, arguments, timeout)

    def _add_slowly(
        self, token: int, arguments: _Arguments, timeout: float | None
    ) -> asyncio.Future[int]:
        """All that the common case does without: errors, a full queue, memory, own timeouts."""
        future = self._loop.create_future()
        if token >= 0:
            self._futures[token] = future
            self._foreign[token] = arguments[3]
        elif token == -EBUSY:
            self._backlog.append((future, arguments))
        else:
            self._use()
            raise last_error(token)
        self._limit(future, timeout)
        self._turn_soon()
        return future

    def _batch(
        self, opcode: int, offsets: Any, buffer: Any, bs: int | None, timeout: float | None
    ) -> asyncio.Future[Done]:
        offsets = as_offsets(offsets)
        span, keep = pin(buffer, opcode == _READ)
        bs = span.length // max(1, len(offsets)) if bs is None else bs
        self._use()
        future: asyncio.Future[Done] = self._loop.create_future()
        self._last_group += 1
        group = _Group(block_ops(opcode, offsets, span, bs), keep, self._last_group, future)
        if not len(offsets):
            group.finish()
            return future
        self._groups[self._last_group] = group
        # The queue holds the group, and the group the memory: also when the await is cancelled.
        self._foreign[-self._last_group] = group
        self._limit(future, timeout)
        self._turn_soon()
        return future

    # ----------------------------------------------------------- the loop's turn

    def _turn_soon(self) -> None:
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Hands over what was prepared, takes in what has completed, prepares what waited."""
        self._turning = False
        if self._queue._closed:
            return
        if self._groups or self._backlog:
            self._feed()
        n = _reap(self._handle, self._out, 0, self._depth, 0)
        if n < 0:
            self._fail_all(last_error(n))
        elif n:
            self._take(self._rows[:n])
        if (n == self._depth or self._groups or self._backlog or self._fd is None) and (
            self._futures or self._groups or self._backlog
        ) and (n > 0 or self._fd is None):
            self._turn_soon()

    def _take(self, rows: NDArray[np.void]) -> None:
        if self._groups:
            rows = self._take_grouped(rows)
        pop = self._futures.pop
        foreign = self._foreign
        for token, result, opcode in zip(
            rows["token"].tolist(), rows["result"].tolist(), rows["opcode"].tolist(), strict=True
        ):
            future = pop(token)
            if foreign:
                foreign.pop(token, None)
            if future.cancelled() or future.done():
                continue
            if result >= 0:
                future.set_result(result)
            else:
                future.set_exception(operation_error(opcode, result))

    def _take_grouped(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Takes in what belongs to batches; returns the rest."""
        keys = rows["user_data"] >> np.uint64(32)
        for key in np.unique(keys[keys != 0]).tolist():
            group = self._groups[key]
            if group.record(rows[keys == key]):
                group.finish()
                del self._groups[key], self._foreign[-key]
        return rows[keys == 0]

    def _feed(self) -> None:
        """Fills the queue from single operations that wait, then from batches."""
        while self._backlog:
            future, arguments = self._backlog[0]
            if not future.done():
                token = _prepare(self._handle, *arguments[:3], 0)
                if token == -EBUSY:
                    return
                self._futures[token] = future
                self._foreign[token] = arguments[3]
            self._backlog.popleft()
        for key, group in list(self._groups.items()):
            self._feed_group(key, group)

    def _feed_group(self, key: int, group: _Group) -> None:
        room = self._depth - lib.rw_queue_in_flight(self._handle)
        ops = group.ops[group.next : group.next + room]
        if not len(ops):
            return
        n = lib.rw_queue_prepare_many(
            self._handle, ffi.from_buffer("struct rw_op[]", ops), len(ops), self._tokens
        )
        if n < 0:
            self._refuse_rest(key, group, n)
        else:
            group.next += n

    def _refuse_rest(self, key: int, group: _Group, code: int) -> None:
        """An operation of the batch cannot be: it fails as a whole, once what runs is through."""
        if not group.future.done():
            group.future.set_exception(last_error(code))
        group.ops = group.ops[: group.next]
        if group.done == group.next:
            del self._groups[key], self._foreign[-key]

    def _fail_all(self, error: OSError) -> None:
        for future in [*self._futures.values(), *(g.future for g in self._groups.values())]:
            if not future.done():
                future.set_exception(error)

    # ---------------------------------------------------------------- timeouts

    def _limit(self, future: asyncio.Future[Any], timeout: float | None) -> None:
        if timeout is not None:
            timer = self._loop.call_later(nanoseconds(timeout) / 1e9, _expire, future)
            future.add_done_callback(lambda _: timer.cancel())

    def _tick(self) -> None:
        """Expires awaits older than the device's timeout; costs nothing per operation."""
        now = self._loop.time()
        waiting = [
            *self._futures.values(), *(future for future, _ in self._backlog),
            *(group.future for group in self._groups.values()),
        ]
        self._seen = {future: self._seen.get(future, now) for future in waiting}
        for future, since in self._seen.items():
            if now - since >= self.device._timeout_ns / 1e9:
                _expire(future)
        if waiting:
            self._turn_soon()
        self._ticker = self._loop.call_later(_TICK, self._tick)

    # ----------------------------------------------------------------- closing

    def _use(self) -> Any:
        if self._queue._closed:
            raise ClosedError(EBADF, f"{self.device.target} is closed")
        return self._handle

    async def close(self, *, timeout: float = 10.0) -> None:
        """Waits for what is in flight, then releases the target. Awaits that are left fail."""
        if self._queue._closed:
            return
        end = self._loop.time() + timeout
        while (self._futures or self._groups) and self._loop.time() < end:
            waiting = [*self._futures.values(), *(g.future for g in self._groups.values())]
            await asyncio.wait(waiting, timeout=0.05)
            self._turn()
        self._ticker.cancel()
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
        self._fail_all(ClosedError(EBADF, f"{self.device.target} was closed"))
        left = max(0.0, end - self._loop.time())
        try:
            self._queue.close(timeout=left)
        finally:
            self.device.close(timeout=left)

    async def __aenter__(self) -> AsyncDevice:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(
            DeadlineError(ETIME, "the operation did not end in time; it may still happen")
        )


class _Opening:
    """What `aopen` returns: to await, or to enter with ``async with``."""

    def __init__(self, arguments: dict[str, Any], depth: int) -> None:
        self._arguments = arguments
        self._depth = depth
        self._device: AsyncDevice | None = None

    async def _open(self) -> AsyncDevice:
        device = open_device(**self._arguments)
        try:
            return AsyncDevice(device, self._depth)
        except BaseException:
            device.close()
            raise

    def __await__(self) -> Generator[Any, None, AsyncDevice]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncDevice:
        self._device = await self._open()
        return self._device

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._device is not None:
            await self._device.close()


def aopen(
    target: str | os.PathLike[str], path: str | None = None, *, writable: bool | None = None,
    direct: bool = True, timeout: float = DEFAULT_TIMEOUT, depth: int = 256,
) -> _Opening:
    """Opens a target for asyncio: ``async with ringway.aopen(...) as dev``, or await it.

    Arguments and errors are those of `ringway.open`; `depth` operations are in flight at a time.
    On a synchronous path (posix, mem, null) operations run in the loop's own turn and hold it up.
    """
    arguments = {
        "target": target, "path": path, "writable": writable, "direct": direct, "timeout": timeout,
    }
    return _Opening(arguments, depth)
