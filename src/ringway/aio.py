"""asyncio: a device whose operations are awaited.

A cancelled await leaves its operation in flight, and the memory with it, until the device is done.
"""

from __future__ import annotations

import os
from asyncio import Future
from collections.abc import Generator
from types import TracebackType
from typing import Any

from ringway._native import lib
from ringway.buffer import Buffer, alloc, bare_span, register
from ringway.done import Done
from ringway.loop_queue import LoopQueue
from ringway.opening import open as open_device
from ringway.timeouts import DEFAULT_TIMEOUT

_READ: int = lib.RW_READ
_WRITE: int = lib.RW_WRITE
_prepare = lib.rw_queue_prepare


class AsyncDevice(LoopQueue):
    """A device for one event loop; made by `ringway.aopen`.

    Methods return futures to await. Their operations run while the loop does, `depth` at a time;
    more than that wait their turn. Offsets, lengths, memory and errors are those of
    `ringway.Device`, which `device` is. A `timeout` of a call is kept to the loop's own delays,
    the device's default one to a second.
    """

    def __repr__(self) -> str:
        return f"<Async{repr(self.device)[1:]}"

    @property
    def size(self) -> int:
        """Bytes, as it was when opened."""
        return self.device.size

    @property
    def block_size(self) -> int:
        """Offsets and lengths are multiples of this."""
        return self.device.block_size

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

    def readinto(self, offset: int, buffer: Any, timeout: float | None = None) -> Future[int]:
        """Fills `buffer` from `offset`; the bytes read."""
        # The common case of _start(), here to save it a frame: a Buffer used before.
        if timeout is None and type(buffer) is Buffer and buffer._span is not None:
            try:
                token = _prepare(self._handle, _READ, offset, buffer._span, 0)
            except (OverflowError, TypeError):
                raise self._refusal(offset) from None
            if token >= 0:
                future = self._futures[token] = Future(loop=self._loop)
                if not self._turning:
                    self._turn_soon()
                return future
        return self._start(_READ, offset, buffer, timeout)

    def write(self, offset: int, data: Any, timeout: float | None = None) -> Future[int]:
        """Writes all of `data` at `offset`; the bytes written. Data is used in place."""
        return self._start(_WRITE, offset, data, timeout)

    async def read(self, offset: int, length: int, *, timeout: float | None = None) -> bytes:
        """`length` bytes at `offset`, copied; neither has to be aligned."""
        first, span, end = self.device._covering(offset, length)
        if not span:
            return b""
        buffer = alloc(span)
        await self.readinto(first, buffer, timeout)
        return bytes(buffer[offset - first : end - first])

    def flush(self, *, timeout: float | None = None) -> Future[int]:
        """Makes completed writes durable."""
        return self._add((lib.RW_FLUSH, 0, bare_span(0), None), timeout)

    def discard(self, offset: int, length: int, *, timeout: float | None = None) -> Future[int]:
        """Tells the device that these bytes are no longer needed."""
        return self._add((lib.RW_DISCARD, offset, bare_span(length), None), timeout)

    def write_zeroes(
        self, offset: int, length: int, *, timeout: float | None = None
    ) -> Future[int]:
        """Makes these bytes read as zeroes."""
        return self._add((lib.RW_WRITE_ZEROES, offset, bare_span(length), None), timeout)

    def read_many(
        self, offsets: Any, buffer: Any, bs: int | None = None, *, timeout: float | None = None
    ) -> Future[Done]:
        """Reads many blocks with one await; see `ringway.Device.read_many`."""
        return self._start_batch(_READ, offsets, buffer, bs, timeout)

    def write_many(
        self, offsets: Any, buffer: Any, bs: int | None = None, *, timeout: float | None = None
    ) -> Future[Done]:
        """Writes many blocks with one await; the counterpart of `read_many`."""
        return self._start_batch(_WRITE, offsets, buffer, bs, timeout)

    async def close(self, *, timeout: float = 10.0) -> None:
        """Waits for what is in flight, then releases the target. Awaits that are left fail."""
        if self._handle is None:
            return
        left = await self._settle(timeout)
        self._detach()
        try:
            self._queue.close(timeout=left)
        finally:
            self.device.close(timeout=left)

    async def __aenter__(self) -> AsyncDevice:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class Opening:
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
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._device is not None:
            await self._device.close()


def aopen(
    target: str | os.PathLike[str],
    path: str | None = None,
    *,
    writable: bool | None = None,
    direct: bool = True,
    timeout: float = DEFAULT_TIMEOUT,
    depth: int = 256,
) -> Opening:
    """Opens a target for asyncio: ``async with ringway.aopen(...) as dev``, or await it.

    Arguments and errors are those of `ringway.open`; `depth` operations are in flight at a time.
    On a synchronous path (posix, mem, null) operations run in the loop's own turn and hold it up.
    """
    arguments = {
        "target": target,
        "path": path,
        "writable": writable,
        "direct": direct,
        "timeout": timeout,
    }
    return Opening(arguments, depth)
