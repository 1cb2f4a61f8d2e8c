"""Completions and operations as rows of numpy arrays, laid out as the core's structs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from errno import EINVAL
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from ringway.errors import ArgumentError, operation_error, status_name

#: ``struct rw_completion`` and ``struct rw_op`` as numpy sees them.
COMPLETION_DTYPE = np.dtype(
    [
        ("token", "i8"),
        ("user_data", "u8"),
        ("result", "i8"),
        ("latency_ns", "i8"),
        ("status", "u4"),
        ("opcode", "u4"),
    ]
)
OP_DTYPE = np.dtype(
    [
        ("offset", "i8"),
        ("memory", "u8"),
        ("length", "u8"),
        ("user_data", "u8"),
        ("opcode", "u4"),
        ("flags", "u4"),
    ]
)


def block_ops(opcode: int, offsets: NDArray[np.int64], span: Any, bs: int) -> NDArray[np.void]:
    """Operations of `bs` bytes for the core, over consecutive blocks of the memory.

    Raises `ArgumentError` when the memory is too short.
    """
    if bs <= 0 or len(offsets) * bs > span.length:
        raise ArgumentError(
            EINVAL, f"{len(offsets)} blocks of {bs} bytes do not fit a buffer of {span.length}"
        )
    ops = np.zeros(len(offsets), OP_DTYPE)
    ops["offset"] = offsets
    ops["memory"] = span.memory + np.arange(len(offsets)) * bs
    ops["length"] = bs
    ops["opcode"] = opcode
    return ops


class Completion(NamedTuple):
    """The end of one operation."""

    token: int
    #: Bytes moved, or a negative errno.
    result: int
    #: Submit to reap, nanoseconds.
    latency_ns: int
    #: The device's raw status; 0 where it has none.
    status: int
    opcode: int

    @property
    def status_name(self) -> str:
        """The specification's name for the raw status, "LBA Out of Range"; "" for 0."""
        return status_name(self.status)

    def raise_for_status(self) -> Completion:
        """Raises the operation's error; returns itself when it succeeded."""
        if self.result < 0:
            raise operation_error(self.opcode, self.result, status=self.status)
        return self


class Completions(Sequence[Completion]):
    """Completions of one reap: columns as arrays, `Completion` objects when iterated."""

    __slots__ = ("_rows",)

    def __init__(self, rows: NDArray[np.void]) -> None:
        self._rows = rows

    @property
    def token(self) -> NDArray[np.int64]:
        """int64, shape (n,)."""
        return self._rows["token"]

    @property
    def result(self) -> NDArray[np.int64]:
        """Bytes moved, or a negative errno; int64, shape (n,)."""
        return self._rows["result"]

    @property
    def latency_ns(self) -> NDArray[np.int64]:
        """Submit to reap in nanoseconds; int64, shape (n,)."""
        return self._rows["latency_ns"]

    @property
    def status(self) -> NDArray[np.uint32]:
        """The device's raw status; uint32, shape (n,)."""
        return self._rows["status"]

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Completion: ...
    @overload
    def __getitem__(self, index: slice) -> Completions: ...
    def __getitem__(self, index: int | slice) -> Completion | Completions:
        if isinstance(index, slice):
            return Completions(self._rows[index])
        return completion_of(self._rows[index].item())

    def __iter__(self) -> Iterator[Completion]:
        return map(completion_of, self._rows.tolist())

    def raise_for_status(self) -> Completions:
        """Raises the first failed operation's error; returns itself when none failed."""
        failed = np.flatnonzero(self.result < 0)
        if len(failed):
            self[int(failed[0])].raise_for_status()
        return self

    def __repr__(self) -> str:
        return f"<Completions {list(self)!r}>"


def completion_of(row: tuple[int, int, int, int, int, int]) -> Completion:
    token, _, result, latency_ns, status, opcode = row
    return Completion(token, result, latency_ns, status, opcode)
