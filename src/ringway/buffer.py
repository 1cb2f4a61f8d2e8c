"""Buffers: memory that every path reaches without a copy.

A buffer is a one-dimensional numpy array of bytes over memory of the core's pool. Slices and views
share the memory and keep it alive; so does every operation in flight, whatever Python forgets
meanwhile. Being an array it has the buffer protocol, ``__array_interface__`` and DLPack.
"""

from __future__ import annotations

from errno import EINVAL, ENOSPC, ERANGE
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringway._native import ffi, lib, set_buffer_type
from ringway.errors import ArgumentError, RangeError, check

#: Memory a device may still touch after its owner gave it up: kept until the process ends.
_quarantine: list[object] = []


class Buffer(np.ndarray[tuple[int], np.dtype[np.uint8]]):
    """Aligned, zeroed bytes; made by `alloc`, `Device.alloc` or `register`.

    ``buf[a:b]`` is a view, ``buf[a:b] = b"..."`` copies bytes in, ``bytes(buf[a:b])`` out.
    """

    #: ``struct rw_span`` of this view, made at its first use; it does not keep memory alive.
    _span: Any = None
    #: Its address; 0 before that.
    _span_at: int = 0

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, (bytes, bytearray, memoryview)):
            value = np.frombuffer(value, np.uint8)
        super().__setitem__(key, value)

    @property
    def registered(self) -> bool:
        """Whether devices know this memory: it can be used without a copy or pinning per I/O."""
        return bool(lib.rw_memory_known(pin(self)[0]))


set_buffer_type(Buffer)


def pin(owner: Any, writable: bool = False) -> tuple[Any, Any]:
    """``struct rw_span`` of an object with the buffer protocol, and what keeps its memory.

    For a `Buffer` the span is remembered, and operations keep the memory by themselves. That holds
    of memory the core knows: numpy makes copies of a `Buffer` in its type and elsewhere.
    """
    known = type(owner) is Buffer and owner._span
    if known and (owner.flags.writeable or not writable):
        return known, None
    pointer = _pointer(owner, writable)
    span = ffi.new("struct rw_span *")
    span.memory = ffi.cast("uintptr_t", pointer)
    span.length = len(pointer)
    if type(owner) is not Buffer or not lib.rw_memory_known(span):
        return span, pointer
    if owner.flags.writeable:
        # The first one stays, whatever another thread does meanwhile: its address is out.
        span = owner.__dict__.setdefault("_span", span)
        owner._span_at = int(ffi.cast("uintptr_t", span))
    return span, None


def bare_span(length: int) -> Any:
    """``struct rw_span`` of an operation that moves no data."""
    span = ffi.new("struct rw_span *")
    try:
        span.length = length
    except OverflowError:
        raise RangeError(ERANGE, f"length {length} is out of range") from None
    return span


def _pointer(owner: Any, writable: bool) -> Any:
    try:
        return ffi.from_buffer("char[]", owner, writable)
    except (BufferError, ValueError) as error:
        raise ArgumentError(EINVAL, f"this memory cannot be used: {error}") from None
    except TypeError:
        raise TypeError(
            f"expected memory (a Buffer, numpy array, bytearray, memoryview, ...), "
            f"got {type(owner).__name__}"
        ) from None


def alloc(length: int) -> Buffer:
    """A zeroed buffer of `length` bytes on page boundaries, usable on every device.

    Raises `NoMemoryError`, and `ArgumentError` for a length that cannot be.
    """
    if not 0 < length < 1 << 62:
        raise ArgumentError(EINVAL, f"a buffer of {length} bytes cannot be made")
    out = ffi.new("struct rw_buffer **")
    check(lib.rw_buffer_create(length, out))
    handle = out[0]
    drop = lib.rw_buffer_drop  # bound now: at interpreter exit globals may be gone
    memory = ffi.gc(lib.rw_buffer_memory(handle), lambda _: drop(handle))
    return np.frombuffer(ffi.buffer(memory, length), np.uint8).view(Buffer)


def quarantine(memory: object) -> None:
    """Keeps memory alive for good: a device may still write to it."""
    if memory is not None:
        _quarantine.append(memory)


class _Registration:
    """Holds the caller's memory and its place in the core; the last view lets both go."""

    def __init__(self, owner: Any, handle: Any) -> None:
        self.owner = owner
        self.handle = handle

    def release(
        self, _: object, drop: Any = lib.rw_buffer_drop, keep: Any = _quarantine.append
    ) -> None:
        if not drop(self.handle):
            keep(self)


def register(owner: Any) -> Buffer:
    """Memory the caller owns (a numpy array, a torch tensor, an mmap) as a `Buffer` in place.

    The returned buffer shares the memory and keeps `owner` alive. `Buffer.registered` tells
    whether devices know it; where the core has no room for another region the memory still works,
    only without that. Raises `ArgumentError` for memory that is read-only or not contiguous, and
    `RingwayError` (EEXIST) for memory that overlaps registered memory.
    """
    if not hasattr(owner, "__array_interface__") and hasattr(owner, "__dlpack__"):
        owner = np.from_dlpack(owner)
    pointer = _pointer(owner, True)
    out = ffi.new("struct rw_buffer **")
    code = lib.rw_buffer_register(pointer, len(pointer), out)
    if code == -ENOSPC:  # no free region: a fallback that `registered` reports
        return np.frombuffer(ffi.buffer(pointer), np.uint8).view(Buffer)
    check(code)
    registration = _Registration(pointer, out[0])
    memory = ffi.gc(ffi.cast("char *", pointer), registration.release)
    return np.frombuffer(ffi.buffer(memory, len(pointer)), np.uint8).view(Buffer)


def as_offsets(offsets: Any) -> NDArray[np.int64]:
    """Offsets in bytes as a contiguous int64 array; copied only where they are not one."""
    array = np.asarray(offsets)
    if array.dtype != np.int64:
        if not (array.size == 0 or np.can_cast(array.dtype, np.int64, "same_kind")):
            raise TypeError(f"offsets must be integers, not {array.dtype}")
        array = array.astype(np.int64)
    if array.ndim != 1:
        raise ArgumentError(EINVAL, f"offsets must have one dimension, not {array.ndim}")
    return np.ascontiguousarray(array)
