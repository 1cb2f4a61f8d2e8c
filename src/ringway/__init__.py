"""Block I/O on every path a Linux machine offers, through one API with zero-copy buffers.

    with ringway.open("data.bin") as dev:
        buf = dev.alloc(1 << 20)
        done = dev.read_many(offsets, buf, bs=4096, depth=64)

`open` and `aopen` open a target, `alloc` and `register` give memory, `errors` lists what can go
wrong. `DESIGN` words: a *path* moves blocks, a *device* is an opened target, a *queue* is a ring
of one thread, a *token* names one operation in flight.
"""

from ringway.aio import AsyncDevice, aopen
from ringway.buffer import Buffer, alloc, register
from ringway.completions import Completion, Completions
from ringway.device import Device
from ringway.done import Done
from ringway.errors import (
    ArgumentError,
    BusyError,
    CancelledError,
    ClosedError,
    DeadlineError,
    DeviceGoneError,
    DirectoryError,
    ForkedError,
    NoMemoryError,
    NoSpaceError,
    NotFoundError,
    NotPermittedError,
    RangeError,
    ReadOnlyError,
    RingwayError,
    TruncatedError,
    UnsupportedError,
    WrongThreadError,
)
from ringway.opening import open
from ringway.queue import Queue

__all__ = [
    "ArgumentError",
    "AsyncDevice",
    "Buffer",
    "BusyError",
    "CancelledError",
    "ClosedError",
    "Completion",
    "Completions",
    "DeadlineError",
    "Device",
    "DeviceGoneError",
    "DirectoryError",
    "Done",
    "ForkedError",
    "NoMemoryError",
    "NoSpaceError",
    "NotFoundError",
    "NotPermittedError",
    "Queue",
    "RangeError",
    "ReadOnlyError",
    "RingwayError",
    "TruncatedError",
    "UnsupportedError",
    "WrongThreadError",
    "alloc",
    "aopen",
    "open",
    "register",
]
