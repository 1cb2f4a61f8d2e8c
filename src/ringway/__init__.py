"""Block I/O on every path a Linux machine offers, through one API with zero-copy buffers.

    with ringway.open("data.bin") as dev:
        buf = dev.alloc(1 << 20)
        done = dev.read_many(offsets, buf, bs=4096, depth=64)

`open` and `aopen` open a target, `alloc` and `register` give memory, `errors` lists what can go
wrong. `DESIGN` words: a *path* moves blocks, a *device* is an opened target, a *queue* is a ring
of one thread, a *token* names one operation in flight.

Names are imported as they are first used: what needs neither the core nor numpy, such as the
pytest plugin, which every session of pytest imports, comes without them.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from ringway import errors as errors
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

#: Where the names of __all__ are that are no errors.
_PLACES = {
    "AsyncDevice": "aio",
    "Buffer": "buffer",
    "Completion": "completions",
    "Completions": "completions",
    "Device": "device",
    "Done": "done",
    "Queue": "queue",
    "alloc": "buffer",
    "aopen": "aio",
    "open": "opening",
    "register": "buffer",
}


def __getattr__(name: str) -> object:
    if name == "errors":
        return _import_module("ringway.errors")
    if name not in __all__:
        raise AttributeError(f"module 'ringway' has no attribute {name!r}")
    value: object = getattr(_import_module(f"ringway.{_PLACES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "errors"})
