"""Explicit queues: prepare, submit, reap; a token names each operation in flight."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from errno import EBADF, EINTR, EINVAL, ERANGE, ETIME
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ringway._native import QueueHandle, ffi, lib
from ringway.buffer import Buffer, as_offsets, bare_span, pin, quarantine
from ringway.completions import (
    COMPLETION_DTYPE,
    Completion,
    Completions,
    block_ops,
    completion_of,
)
from ringway.errors import (
    ArgumentError,
    ClosedError,
    DeadlineError,
    RangeError,
    check,
    last_error,
)
from ringway.timeouts import DRAIN_NS, Deadline, close_within, nanoseconds

if TYPE_CHECKING:
    from ringway.device import Device

_READ: int = lib.RW_READ
_WRITE: int = lib.RW_WRITE
_prepare = lib.rw_queue_prepare


class Queue(QueueHandle):
    """A submission and completion ring; made by `Device.queue`, owned by the thread that made it.

    `read`, `write` and the others prepare an operation and return its token; `submit` hands over
    what was prepared; `reap` and the waits return completions, each once. A reap or wait submits
    too. Raises `WrongThreadError` from another thread, `ForkedError` in a forked child,
    `BusyError` when `depth` operations are in flight.
    """

    def __init__(self, device: Device, depth: int) -> None:
        out = ffi.new("struct rw_queue **")
        check(lib.rw_queue_create(device._handle, _depth(depth), out))
        self._handle = out[0]
        self._bind(int(ffi.cast("uintptr_t", self._handle)))
        self._device = device
        self._timeout_ns = device._timeout_ns
        self.depth = depth
        #: Tokens in flight, with the memory kept for those whose memory is no Buffer.
        self._memory: dict[int, Any] = {}
        #: Completions that a wait for others came across.
        self._others: dict[int, Completion] = {}
        self._rows = np.zeros(depth, COMPLETION_DTYPE)
        self._out = ffi.from_buffer("struct rw_completion[]", self._rows)
        self._closed = False
        self._finalizer = weakref.finalize(self, _dispose, self._handle, self._memory, device)
        self._finalizer.atexit = False

    def __repr__(self) -> str:
        state = "closed " if self._closed else ""
        return f"<{state}Queue of {self._device!r}, {self.in_flight} of {self.depth} in flight>"

    # --------------------------------------------------------------- preparing

    def read(self, offset: int, buffer: Any) -> int:
        """Prepares filling `buffer` from `offset`; returns the token."""
        return self._add(_READ, offset, buffer)

    def write(self, offset: int, buffer: Any) -> int:
        """Prepares writing `buffer` at `offset`; returns the token."""
        return self._add(_WRITE, offset, buffer)

    def _add(self, opcode: int, offset: int, buffer: Any) -> int:
        span, keep = buffer._span if type(buffer) is Buffer else None, None
        if span is None:
            span, keep = pin(buffer, opcode == _READ)
        return self._prepare(opcode, offset, span, keep)

    def _prepare(self, opcode: int, offset: int, span: Any, keep: Any) -> int:
        try:
            token: int = _prepare(self._use(), opcode, offset, span, 0)
        except OverflowError:
            raise RangeError(ERANGE, f"offset {offset} is out of range") from None
        if token < 0:
            raise last_error(token)
        self._memory[token] = keep
        return token

    def flush(self) -> int:
        """Prepares making completed writes durable; returns the token."""
        return self._prepare(lib.RW_FLUSH, 0, bare_span(0), None)

    def discard(self, offset: int, length: int) -> int:
        """Prepares telling the device that these bytes are not needed; returns the token."""
        return self._prepare(lib.RW_DISCARD, offset, bare_span(length), None)

    def write_zeroes(self, offset: int, length: int) -> int:
        """Prepares making these bytes zero; returns the token."""
        return self._prepare(lib.RW_WRITE_ZEROES, offset, bare_span(length), None)

    def read_many(self, offsets: Any, buffer: Any, bs: int) -> NDArray[np.int64]:
        """Prepares reads of `bs` bytes at each offset into ``buffer[i*bs:(i+1)*bs]``.

        Returns the tokens, int64, shape (n,): as many as there was room for in the queue.
        """
        return self._add_many(_READ, offsets, buffer, bs)

    def write_many(self, offsets: Any, buffer: Any, bs: int) -> NDArray[np.int64]:
        """Prepares writes; the counterpart of `read_many`."""
        return self._add_many(_WRITE, offsets, buffer, bs)

    def _add_many(self, opcode: int, offsets: Any, buffer: Any, bs: int) -> NDArray[np.int64]:
        offsets = as_offsets(offsets)
        span, keep = pin(buffer, opcode == _READ)
        ops = block_ops(opcode, offsets, span, bs)
        tokens = np.empty(len(offsets), np.int64)
        n = check(
            lib.rw_queue_prepare_many(
                self._use(),
                ffi.from_buffer("struct rw_op[]", ops),
                len(ops),
                ffi.from_buffer("int64_t[]", tokens, require_writable=True),
            )
        )
        self._memory.update(dict.fromkeys(tokens[:n].tolist(), keep))
        return tokens[:n]

    def submit(self) -> int:
        """Hands over what was prepared; returns how many operations that were."""
        return check(lib.rw_queue_submit(self._use()))

    # ----------------------------------------------------------------- reaping

    def reap(
        self, min: int = 1, max: int | None = None, timeout: float | None = None
    ) -> Completions:
        """Completions: at least `min` unless the timeout passes first, at most `max`.

        With nothing in flight it returns at once. `min` 0 only looks.
        """
        if min < 0 or (max is not None and max < 0):
            raise ArgumentError(EINVAL, f"min {min} and max {max} are counts")
        most = self.depth if max is None or max > self.depth else max
        kept = self._take_others(most)
        if len(kept) == most:
            return Completions(kept)
        rows = self._collect(min - len(kept), most - len(kept), timeout)
        return Completions(np.concatenate((kept, rows)) if len(kept) else rows)

    def _take_others(self, most: int) -> NDArray[np.void]:
        tokens = list(self._others)[:most] if self._others else []
        return np.array([(t, 0, *self._others.pop(t)[1:]) for t in tokens], COMPLETION_DTYPE)

    def _collect(self, least: int, most: int, timeout: float | None) -> NDArray[np.void]:
        """Rows of new completions; in slices, so that signals are seen in between."""
        deadline = Deadline(self._timeout_ns if timeout is None else nanoseconds(timeout))
        batches: list[NDArray[np.void]] = []
        try:
            while self._collect_slice(batches, least, most, deadline.slice()):
                pass
        except BaseException:
            self._keep(batches)
            raise
        return batches[0] if len(batches) == 1 else np.concatenate(batches or [self._rows[:0]])

    def _collect_slice(
        self, batches: list[NDArray[np.void]], least: int, most: int, slice_ns: int
    ) -> bool:
        """Adds what one call of the core gives; whether another call is needed."""
        got = sum(map(len, batches))
        least = min(least, self.depth)
        n = lib.rw_queue_reap(self._use(), self._out, max(0, least - got), most - got, slice_ns)
        if n < 0 and n != -EINTR:
            raise last_error(n)
        if n > 0:
            batches.append(self._rows[:n].copy())
            for token in batches[-1]["token"].tolist():
                self._memory.pop(token, None)
            self._rows["token"][:n] = 0  # what is not 0 has not been taken: see _keep
            got += n
        return bool(got < min(least, most) and slice_ns and self._memory)

    def _keep(self, batches: list[NDArray[np.void]]) -> None:
        """A signal handler raised in the middle: no completion may get lost."""
        for rows in (*batches, self._rows[self._rows["token"] != 0]):
            for row in rows.tolist():
                self._others[row[0]] = completion_of(row)
                self._memory.pop(row[0], None)
        self._rows["token"] = 0

    def wait(self, token: int, timeout: float | None = None) -> Completion:
        """The completion of that operation; others are kept for later calls."""
        return self.wait_all([token], timeout)[0]

    def wait_any(self, tokens: Iterable[int], timeout: float | None = None) -> Completion:
        """The first completion among those operations."""
        wanted = self._known(tokens)
        if not wanted:
            raise ArgumentError(EINVAL, "there is no operation to wait for")
        self._wait_until(lambda: any(t in self._others for t in wanted), timeout)
        return self._others.pop(next(t for t in wanted if t in self._others))

    def wait_all(self, tokens: Iterable[int], timeout: float | None = None) -> list[Completion]:
        """The completions of all those operations, in the order given."""
        wanted = self._known(tokens)
        self._wait_until(lambda: all(t in self._others for t in wanted), timeout)
        found = {token: self._others.pop(token) for token in set(wanted)}
        return [found[token] for token in wanted]

    def _known(self, tokens: Iterable[int]) -> list[int]:
        wanted = [int(token) for token in tokens]
        for token in wanted:
            if token not in self._memory and token not in self._others:
                raise ArgumentError(EINVAL, f"token {token} names no operation of this queue")
        return wanted

    def _wait_until(self, satisfied: Any, timeout: float | None) -> None:
        deadline = Deadline(self._timeout_ns if timeout is None else nanoseconds(timeout))
        while not satisfied():
            left = deadline.left()
            rows = self._collect(1, self.depth, left / 1e9)
            for row in rows.tolist():
                self._others[row[0]] = completion_of(row)
            if not left and not len(rows):
                raise DeadlineError(ETIME, "the operations did not complete in time")

    # ------------------------------------------------------------------- state

    @property
    def in_flight(self) -> int:
        """Operations prepared or submitted, and not completed."""
        return len(self._memory)

    def fileno(self) -> int:
        """An event fd, readable when there may be something to reap: for poll and event loops.

        Raises `UnsupportedError` where the path has none.
        """
        return check(lib.rw_queue_event_fd(self._use()))

    @property
    def counters(self) -> dict[str, int]:
        """operations, syscalls, doorbells, copies, retries, parts, since the queue was made."""
        out = ffi.new("struct rw_counters *")
        lib.rw_queue_counters(self._use(), out)
        return {name: int(getattr(out, name)) for name in dir(out)}

    def close(self, *, timeout: float = 10.0) -> None:
        """Waits for what is in flight and drops its completions. Safe to call again.

        Raises `DeadlineError` when something is still in flight after `timeout` seconds; its
        memory then stays reserved.
        """
        if self._closed:
            return
        code = close_within(lib.rw_queue_close, self._handle, nanoseconds(timeout))
        if code == -ETIME:
            quarantine(dict(self._memory))
        if code in (0, -ETIME):
            self._closed = True
            self._finalizer.detach()
            self._memory.clear()
        check(code)

    def _use(self) -> Any:
        if self._closed:
            raise ClosedError(EBADF, "the queue is closed")
        return self._handle

    def _device_closed(self, code: int) -> None:
        """The device went first: nothing is in flight any more, or its memory stays for good."""
        if code == -ETIME:
            quarantine(dict(self._memory))
        self._memory.clear()

    def __enter__(self) -> Queue:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _depth(depth: int) -> int:
    if depth < 0 or depth >= 1 << 32:
        raise RangeError(ERANGE, f"depth {depth} is out of range")
    return depth


def _dispose(handle: Any, memory: dict[int, Any], device: object) -> None:
    """A queue nobody refers to any more: closed now, freed with the object itself.

    `device` is here to outlive it.
    """
    if close_within(lib.rw_queue_close, handle, DRAIN_NS) < 0 and memory:
        quarantine(memory)
