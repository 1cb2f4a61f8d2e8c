"""Devices: sync calls, batches, closing."""

from __future__ import annotations

import atexit
import os
import weakref
from errno import EBADF, EBUSY, EINTR, EINVAL, ERANGE, ETIME
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ringway._native import Calls, ffi, lib
from ringway.batches import run_batch
from ringway.buffer import Buffer, alloc, bare_span, pin, quarantine, register
from ringway.done import Done
from ringway.errors import ArgumentError, RangeError, check
from ringway.paths import options_in
from ringway.timeouts import DRAIN_NS, GIVE_UP_NS, Deadline, close_within, nanoseconds

if TYPE_CHECKING:
    from ringway.queue import Queue

_READ: int = lib.RW_READ
_WRITE: int = lib.RW_WRITE
_FLUSH: int = lib.RW_FLUSH
_DISCARD: int = lib.RW_DISCARD
_WRITE_ZEROES: int = lib.RW_WRITE_ZEROES

#: Devices still open, for the bounded drain at interpreter exit.
_open_devices: weakref.WeakSet[Device] = weakref.WeakSet()


class Device(Calls):
    """An opened target. Any thread may use it; made by `ringway.open`.

    Offsets and lengths are bytes and multiples of `block_size`; memory starts at multiples of
    `memory_alignment`, which that from `alloc` does. Calls take a `timeout` in seconds (None:
    the device's) and raise `DeadlineError` when it passes.
    """

    def __init__(self, handle: Any, timeout: float) -> None:
        self._handle = handle
        self._timeout_ns = nanoseconds(timeout)
        self._bind(int(ffi.cast("uintptr_t", handle)), self._timeout_ns)
        self._queues: weakref.WeakSet[Queue] = weakref.WeakSet()
        self._closed = False
        info = ffi.new("struct rw_device_info *")
        lib.rw_device_info(handle, info)
        self._read_info(info)
        self._finalizer = weakref.finalize(self, _dispose, handle)
        self._finalizer.atexit = False
        _open_devices.add(self)

    def _read_info(self, info: Any) -> None:
        #: Bytes, as it was when opened.
        self.size: int = info.size
        #: Offsets and lengths are multiples of this; a power of two.
        self.block_size: int = info.block_size
        #: Memory addresses are multiples of this; a power of two.
        self.memory_alignment: int = info.memory_alignment
        #: Offsets and lengths of discard and write_zeroes are multiples of this; a power of two.
        self.discard_alignment: int = info.discard_alignment
        #: Longer operations are split; bytes.
        self.max_transfer: int = info.max_transfer
        #: Deepest queue.
        self.max_depth: int = info.max_depth
        self.writable: bool = info.writable
        #: Past the page cache (O_DIRECT).
        self.direct: bool = info.direct
        #: Whether operations run one at a time, in the call that reaps them.
        self.synchronous: bool = info.synchronous
        #: Name of the path in use.
        self.path: str = ffi.string(info.path).decode()
        #: The path's options in force.
        self.options: tuple[str, ...] = options_in(self.path, info.options)
        self.target: str = os.fsdecode(ffi.string(info.target))
        #: Why this path and these options, and why not others.
        self.why: str = ffi.string(info.why).decode(errors="replace")

    def __repr__(self) -> str:
        state = "closed " if self._closed else ""
        return f"<{state}Device {self.target} on {'+'.join((self.path, *self.options))}>"

    # ------------------------------------------------------------------ memory

    def alloc(self, length: int) -> Buffer:
        """A zeroed buffer of `length` bytes on page boundaries; it outlives the device."""
        return alloc(length)

    def register(self, owner: Any) -> Buffer:
        """Memory the caller owns as a `Buffer` in place; see `ringway.register`."""
        return register(owner)

    # -------------------------------------------------------------- sync calls

    # readinto and write are inherited; what follows is what they leave to Python.

    def _readinto(self, offset: int, buffer: Any, timeout: float | None = None) -> int:
        span, keep = pin(buffer, True)
        return self._run(_READ, offset, span, timeout, keep)

    def _write(self, offset: int, data: Any, timeout: float | None = None) -> int:
        span, keep = pin(data)
        if type(data) is not Buffer and span.memory & (self.memory_alignment - 1) and span.length:
            return self.write(offset, _copied(data, span.length), timeout)
        return self._run(_WRITE, offset, span, timeout, keep)

    def _run(
        self, opcode: int, offset: int, span: Any, timeout: float | None, keep: object = None
    ) -> int:
        timeout_ns = self._timeout_ns if timeout is None else nanoseconds(timeout)
        try:
            code: int = lib.rw_device_transfer(self._handle, opcode, offset, span, timeout_ns)
        except (OverflowError, TypeError):
            raise _wrong_offset(offset) from None  # nothing was started
        except BaseException:
            self._abandon(keep)
            raise
        if code == -EINTR:
            code = self._go_on(timeout_ns, keep)
        if code == -ETIME:
            quarantine(keep)
        return check(code)

    def read(self, offset: int, length: int, *, timeout: float | None = None) -> bytes:
        """`length` bytes at `offset`, copied; neither has to be aligned.

        Ends early at the end of the device. `readinto` is the one without a copy.
        """
        first, span, end = self._covering(offset, length)
        if not span:
            return b""
        buffer = alloc(span)
        self.readinto(first, buffer, timeout=timeout)
        return bytes(buffer[offset - first : end - first])

    def _covering(self, offset: int, length: int) -> tuple[int, int, int]:
        """Start and length of the whole blocks that hold the bytes, and where these end."""
        if offset < 0 or length < 0:
            raise ArgumentError(EINVAL, f"offset {offset} or length {length} is negative")
        if offset > self.size:
            raise RangeError(ERANGE, f"offset {offset} is beyond the end: {self.size} bytes")
        end = min(offset + length, self.size)
        first = offset - offset % self.block_size
        blocks = -(-(end - first) // self.block_size) if end > offset else 0
        return first, blocks * self.block_size, end

    def flush(self, *, timeout: float | None = None) -> None:
        """Returns when all writes that completed before are durable (fdatasync(2))."""
        self._run(_FLUSH, 0, bare_span(0), timeout)

    def discard(self, offset: int, length: int, *, timeout: float | None = None) -> None:
        """Tells the device that these bytes are no longer needed; what they read as is undefined.

        Raises `UnsupportedError` where the device or file system cannot.
        """
        self._run(_DISCARD, offset, bare_span(length), timeout)

    def write_zeroes(self, offset: int, length: int, *, timeout: float | None = None) -> None:
        """Makes these bytes read as zeroes, without moving zeroes where the device can."""
        self._run(_WRITE_ZEROES, offset, bare_span(length), timeout)

    def _finish(self, code: int) -> int:
        """An inherited call that has not simply succeeded: goes on after signals, raises errors."""
        return check(self._go_on(self._timeout_ns) if code == -EINTR else code)

    def _go_on(self, timeout_ns: int, memory: object = None) -> int:
        try:
            return self._resume(timeout_ns, memory)
        except BaseException:
            self._abandon(memory)
            raise

    def _resume(self, timeout_ns: int, memory: object = None) -> int:
        """Waits on for this thread's transfer, looking after signals."""
        deadline = Deadline(timeout_ns)
        code = -EINTR
        while code == -EINTR:
            code = lib.rw_device_resume(self._handle, deadline.left())
        if code == -EBADF:  # closed meanwhile: the operation may still be in flight
            quarantine(memory)
        return code

    def _abandon(self, *memory: object) -> None:
        if lib.rw_device_abandon(self._handle, GIVE_UP_NS):
            quarantine(memory)

    # ----------------------------------------------------------------- batches

    def read_many(
        self,
        offsets: Any,
        buffer: Any,
        bs: int | None = None,
        depth: int = 64,
        timeout: float | None = None,
        out: Done | None = None,
    ) -> Done:
        """Reads many blocks in one call, `depth` of them in flight at a time.

        `offsets` are bytes, int64, shape (n,). Operation i fills ``buffer[i*bs:(i+1)*bs]``; `bs`
        is the buffer's length over n unless given. Returns when all have completed, failed ones
        too: see `Done.raise_for_status`. Arguments are checked before anything is started.
        `timeout` is for the whole batch; what is then in flight is abandoned. `out`, an earlier
        result of as many operations, is filled again instead of making a new one.
        """
        return run_batch(self, _READ, offsets, buffer, bs, depth, timeout, out)

    def write_many(
        self,
        offsets: Any,
        buffer: Any,
        bs: int | None = None,
        depth: int = 64,
        timeout: float | None = None,
        out: Done | None = None,
    ) -> Done:
        """Writes many blocks in one call; the counterpart of `read_many`."""
        return run_batch(self, _WRITE, offsets, buffer, bs, depth, timeout, out)

    # ------------------------------------------------------- queues and closing

    def queue(self, depth: int = 128) -> Queue:
        """An explicit ring of the calling thread: prepare, submit, reap.

        Raises `RangeError` for a depth the path does not take.
        """
        from ringway.queue import Queue

        queue = Queue(self, depth)
        self._queues.add(queue)
        return queue

    def close(self, *, timeout: float = 10.0) -> None:
        """Waits for what is in flight, then releases the target. Safe to call again.

        Raises `DeadlineError` when something is still in flight after `timeout` seconds: its
        memory then stays reserved. Raises `BusyError`, and does not close, while another thread
        is inside a call.
        """
        if self._closed:
            return
        code = close_within(lib.rw_device_close, self._handle, nanoseconds(timeout))
        if code != -EBUSY:
            self._closed = True
            _open_devices.discard(self)
            for queue in list(self._queues):
                queue._device_closed(code)
        check(code)

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _copied(data: Any, length: int) -> Buffer:
    buffer = alloc(length)
    buffer[:] = np.frombuffer(data, np.uint8)
    return buffer


def _wrong_offset(offset: object) -> Exception:
    if isinstance(offset, int):
        return RangeError(ERANGE, f"offset {offset} is out of range")
    return TypeError(f"an offset is an int, not {type(offset).__name__}")


def _dispose(handle: Any) -> None:
    """A device nobody refers to any more: closed now, freed with the object itself."""
    close_within(lib.rw_device_close, handle, DRAIN_NS)


def _drain_at_exit() -> None:
    """What is in flight when the interpreter ends gets a bounded time to land."""
    for device in list(_open_devices):
        close_within(lib.rw_device_close, device._handle, DRAIN_NS)


atexit.register(_drain_at_exit)
