"""What becomes of a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ringway._native import ffi
from ringway.errors import operation_error


class Done:
    """What became of a batch: one entry per operation, in the order they were given."""

    __slots__ = ("_batch", "_columns", "_pointer")

    def __init__(self, count: int) -> None:
        self._columns = np.empty((2, count), np.int64)
        self._pointer = ffi.from_buffer("int64_t[]", self._columns)
        self._batch = ffi.new("struct rw_batch *")

    def __len__(self) -> int:
        return len(self._pointer) >> 1

    def close(self, opcode: int) -> None:
        """The columns were filled from elsewhere: counts what failed."""
        self._batch.opcode = opcode
        self._batch.failed = int(np.count_nonzero(self.result < 0))

    def note(self, index: int, status: int) -> None:
        """An operation failed with that raw status; of the first one it is kept."""
        if not self._batch.status or index < self._batch.first_failed:
            self._batch.first_failed, self._batch.status = index, status

    @property
    def failed(self) -> int:
        """How many operations failed."""
        return self._batch.failed  # type: ignore[no-any-return]

    @property
    def result(self) -> NDArray[np.int64]:
        """Bytes moved, or a negative errno; int64, shape (n,)."""
        return self._columns[0]  # type: ignore[no-any-return]

    @property
    def latency_ns(self) -> NDArray[np.int64]:
        """Submit to completion as the caller saw it, in nanoseconds; int64, shape (n,)."""
        return self._columns[1]  # type: ignore[no-any-return]

    def raise_for_status(self) -> Done:
        """Raises the error of the first operation that failed; returns itself when none did."""
        if self.failed:
            index = int(np.argmax(self.result < 0))
            raise operation_error(
                self._batch.opcode,
                int(self.result[index]),
                f" (operation {index} of {len(self)}; {self.failed} failed)",
                self._batch.status if self._batch.first_failed == index else 0,
            )
        return self

    def __repr__(self) -> str:
        return f"<Done {len(self)} operations, {self.failed} failed>"
