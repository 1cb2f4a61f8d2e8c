"""The exceptions: which class an error of the core becomes, and what it says."""

from __future__ import annotations

import errno
import pickle

import pytest

import ringway
from ringway._native import lib
from ringway.errors import check, error_of, last_error, operation_error

CLASSES = [
    (errno.EINVAL, ringway.ArgumentError, ValueError),
    (errno.ERANGE, ringway.RangeError, ringway.ArgumentError),
    (errno.EOPNOTSUPP, ringway.UnsupportedError, OSError),
    (errno.ENOENT, ringway.NotFoundError, FileNotFoundError),
    (errno.EISDIR, ringway.DirectoryError, IsADirectoryError),
    (errno.EACCES, ringway.NotPermittedError, PermissionError),
    (errno.EPERM, ringway.NotPermittedError, PermissionError),
    (errno.EROFS, ringway.ReadOnlyError, PermissionError),
    (errno.EBUSY, ringway.BusyError, OSError),
    (errno.EBADF, ringway.ClosedError, ValueError),
    (errno.ETIME, ringway.DeadlineError, TimeoutError),
    (errno.ENODATA, ringway.TruncatedError, OSError),
    (errno.ENOSPC, ringway.NoSpaceError, OSError),
    (errno.ENODEV, ringway.DeviceGoneError, OSError),
    (errno.ENXIO, ringway.DeviceGoneError, OSError),
    (errno.ECANCELED, ringway.CancelledError, OSError),
    (errno.ENOMEM, ringway.NoMemoryError, MemoryError),
    (errno.EREMOTE, ringway.WrongThreadError, RuntimeError),
    (errno.ECHILD, ringway.ForkedError, RuntimeError),
    (errno.EIO, ringway.RingwayError, OSError),
]


@pytest.mark.parametrize(("number", "kind", "base"), CLASSES)
def test_an_errno_has_a_class_of_its_own_and_one_of_pythons(number, kind, base):
    error = error_of(-number, "a sentence")
    assert type(error) is kind
    assert isinstance(error, base)
    assert isinstance(error, ringway.RingwayError)
    assert (error.errno, error.strerror) == (number, "a sentence")


def test_every_public_exception_is_raised_for_some_errno():
    public = {getattr(ringway, name) for name in ringway.__all__ if name.endswith("Error")}
    assert public == {kind for _, kind, _ in CLASSES}


def test_without_a_sentence_the_system_has_one():
    assert error_of(-errno.EIO).strerror == "Input/output error"


def test_an_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(error_of(-errno.ENODATA, "cut short")))
    assert type(error) is ringway.TruncatedError
    assert (error.errno, error.strerror) == (errno.ENODATA, "cut short")


@pytest.mark.parametrize("code", [0, 1, 1 << 40])
def test_what_is_no_error_is_handed_on(code):
    assert check(code) == code


def test_the_cores_sentence_is_used():
    code = lib.rw_explain(lib.RW_READ, -errno.ENODATA, 0)
    with pytest.raises(ringway.TruncatedError, match="read: the file is shorter than it was"):
        check(code)
    assert str(last_error(code, " (twice)")).endswith("opened (twice)")


@pytest.mark.parametrize(
    ("opcode", "number", "text"),
    [
        (lib.RW_WRITE, errno.ENOSPC, "write: the disk is full"),
        (lib.RW_READ, errno.ENODEV, "read: the device is gone"),
        (lib.RW_DISCARD, errno.EOPNOTSUPP, "discard: the device or file system does not"),
        (lib.RW_WRITE_ZEROES, errno.EIO, "write_zeroes failed: Input/output error"),
        (lib.RW_FLUSH, errno.ECANCELED, "flush: cancelled"),
        (99, errno.EIO, "operation failed"),
    ],
)
def test_a_failed_operation_is_explained(opcode, number, text):
    error = operation_error(opcode, -number)
    assert error.errno == number
    assert text in str(error)
