"""The exceptions, on one page, and the one place where the core's errors become them.

Every exception is a `RingwayError`, and so an `OSError` with `errno` and a `strerror` that says
what was wrong and what to do. Where Python has a class of its own for the case, it is that too.
"""

from __future__ import annotations

import errno
import os

from ringway._native import ffi, lib


class RingwayError(OSError):
    """Anything that went wrong in ringway; `errno` tells what, `strerror` in words."""

    #: The raw status of the device that the error came from; 0 where there was none.
    status: int = 0

    @property
    def status_name(self) -> str:
        """The specification's name for the raw status, "LBA Out of Range"; "" for 0."""
        return status_name(self.status)


class ArgumentError(RingwayError, ValueError):
    """An argument that cannot be: misaligned, empty, unknown (EINVAL)."""


class RangeError(ArgumentError):
    """Beyond the end of the device, or a depth out of range (ERANGE)."""


class UnsupportedError(RingwayError):
    """This path, device or kernel cannot do it; the text says why (EOPNOTSUPP)."""


class NotFoundError(RingwayError, FileNotFoundError):
    """The target does not exist (ENOENT)."""


class DirectoryError(RingwayError, IsADirectoryError):
    """The target is a directory (EISDIR)."""


class NotPermittedError(RingwayError, PermissionError):
    """No permission for the target, or the path is forbidden on this machine (EACCES, EPERM)."""


class ReadOnlyError(RingwayError, PermissionError):
    """A write to something that was opened, or is, read-only (EROFS)."""


class BusyError(RingwayError):
    """The block device is in use, or the queue is full (EBUSY)."""


class ClosedError(RingwayError, ValueError):
    """The device or queue is closed (EBADF)."""


class DeadlineError(RingwayError, TimeoutError):
    """The timeout passed first. What is in flight may still happen (ETIME)."""


class TruncatedError(RingwayError):
    """The file is shorter than it was when it was opened (ENODATA)."""


class NoSpaceError(RingwayError):
    """The disk is full, or every memory region is taken (ENOSPC)."""


class DeviceGoneError(RingwayError):
    """The device is no longer there (ENODEV, ENXIO)."""


class CancelledError(RingwayError):
    """The operation was cancelled before it was carried out (ECANCELED)."""


class NoMemoryError(RingwayError, MemoryError):
    """No memory for buffers or queues (ENOMEM)."""


class WrongThreadError(RingwayError, RuntimeError):
    """A queue used from a thread that does not own it (EREMOTE)."""


class ForkedError(RingwayError, RuntimeError):
    """A device or queue of the parent used in a forked child (ECHILD)."""


_CLASSES: dict[int, type[RingwayError]] = {
    errno.EINVAL: ArgumentError,
    errno.ERANGE: RangeError,
    errno.EOPNOTSUPP: UnsupportedError,
    errno.ENOENT: NotFoundError,
    errno.EISDIR: DirectoryError,
    errno.EACCES: NotPermittedError,
    errno.EPERM: NotPermittedError,
    errno.EROFS: ReadOnlyError,
    errno.EBUSY: BusyError,
    errno.EBADF: ClosedError,
    errno.ETIME: DeadlineError,
    errno.ENODATA: TruncatedError,
    errno.ENOSPC: NoSpaceError,
    errno.ENODEV: DeviceGoneError,
    errno.ENXIO: DeviceGoneError,
    errno.ECANCELED: CancelledError,
    errno.ENOMEM: NoMemoryError,
    errno.EREMOTE: WrongThreadError,
    errno.ECHILD: ForkedError,
}


def status_name(status: int) -> str:
    """The name of an NVMe status (Base Specification 2.0, 3.3.3.2.1, without the phase tag)."""
    name: bytes = ffi.string(lib.rw_status_name(status)) if status else b""
    return name.decode()


def error_of(code: int, text: str = "") -> RingwayError:
    """The exception for a negative errno."""
    return _CLASSES.get(-code, RingwayError)(-code, text or os.strerror(-code))


def last_error(code: int, addition: str = "") -> RingwayError:
    """The exception for a negative errno the core has just returned to this thread."""
    error = error_of(code, ffi.string(lib.rw_detail()).decode(errors="replace") + addition)
    if status := lib.rw_status():
        error.status = status
    return error


def operation_error(opcode: int, result: int, addition: str = "", status: int = 0) -> RingwayError:
    """The exception for the negative result and raw status of a completed operation."""
    return last_error(lib.rw_explain(opcode, result, status), addition)


def check(code: int) -> int:
    """The core's answer, or its error raised."""
    if code < 0:
        raise last_error(code)
    return code
