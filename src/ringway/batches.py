"""Batches: arrays in, arrays out, one call into the core for many operations."""

from __future__ import annotations

from errno import EAGAIN, EINTR, EINVAL, ERANGE, ETIME
from typing import TYPE_CHECKING, Any

import numpy as np

from ringway._native import ffi, lib
from ringway.buffer import Buffer, as_offsets, pin
from ringway.done import Done
from ringway.errors import ArgumentError, DeadlineError, RangeError, check
from ringway.timeouts import SLICE_NS, Deadline, nanoseconds

if TYPE_CHECKING:
    from ringway.device import Device

_READ: int = lib.RW_READ
_begin = lib.rw_batch_begin
_from_buffer = ffi.from_buffer
_INT64 = np.dtype(np.int64)
_INT64_ARRAY = ffi.typeof("int64_t[]")
_Array = np.ndarray


def _offsets_pointer(offsets: Any) -> Any:
    """``int64_t[]`` over the offsets, which it keeps; copied only where that cannot be."""
    if type(offsets) is _Array and offsets.dtype is _INT64 and offsets.ndim == 1:
        try:
            return _from_buffer(_INT64_ARRAY, offsets)
        except (BufferError, ValueError):
            pass  # with gaps between them
    return _from_buffer(_INT64_ARRAY, as_offsets(offsets))


def run_batch(
    device: Device,
    opcode: int,
    offsets: Any,
    buffer: Any,
    bs: int | None,
    depth: int,
    timeout: float | None,
    out: Done | None,
) -> Done:
    """Runs a batch to its end; see `ringway.Device.read_many`."""
    pointer = _offsets_pointer(offsets)
    count = len(pointer)
    span, keep = buffer._span if type(buffer) is Buffer else None, None
    if span is None:
        span, keep = pin(buffer, opcode == _READ)
    if out is None:
        out = Done(count)
    elif len(out._pointer) != 2 * count:
        raise ArgumentError(EINVAL, f"out has {len(out)} entries, the batch {count} operations")
    batch = out._batch
    timeout_ns = device._timeout_ns if timeout is None else nanoseconds(timeout)
    try:
        code = _begin(
            device._handle,
            batch,
            opcode,
            pointer,
            count,
            span.length // count if bs is None and count else bs or 0,
            span,
            depth,
            out._pointer,
        )
        if code:
            _go_on(device, batch, code, timeout_ns)
    except OverflowError:
        raise RangeError(ERANGE, f"depth {depth} or bs {bs} is out of range") from None
    except BaseException:
        if batch.next > batch.done:
            device._abandon(batch, pointer, keep, out)
        raise
    return out


def _go_on(device: Device, batch: Any, code: int, timeout_ns: int) -> None:
    """A batch that did not end in its first slice: signals and the deadline in between."""
    deadline = Deadline(max(0, timeout_ns - SLICE_NS))
    while code in (-EAGAIN, -EINTR):
        slice_ns = deadline.slice()
        if not slice_ns:
            raise DeadlineError(
                ETIME, f"{batch.done} of {batch.count} operations completed in time"
            )
        code = lib.rw_batch_run(device._handle, batch, slice_ns)
    check(code)
