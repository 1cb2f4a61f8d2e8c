"""A batch of an asyncio device: one future for many operations."""

from __future__ import annotations

import asyncio
from errno import EINVAL, ERANGE
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringway._native import lib
from ringway.device import Device
from ringway.done import Done
from ringway.errors import ArgumentError, RangeError, RingwayError

_READ: int = lib.RW_READ


class Group:
    """A batch under way: one future for many operations."""

    def __init__(
        self, ops: NDArray[np.void], memory: Any, key: int, future: asyncio.Future[Done]
    ) -> None:
        ops["user_data"] = (key << 32) + np.arange(len(ops))
        self.ops = ops
        self.memory = memory
        self.future = future
        self.result = Done(len(ops))
        self.next = 0
        self.done = 0

    def record(self, rows: NDArray[np.void]) -> bool:
        """Takes completions in; true when they were the last."""
        indexes = (rows["user_data"] & 0xFFFFFFFF).astype(np.int64)
        self.result.result[indexes] = rows["result"]
        self.result.latency_ns[indexes] = rows["latency_ns"]
        if rows["status"].any():
            self._note(indexes, rows["status"])
        self.done += len(rows)
        return self.done == len(self.ops)

    def _note(self, indexes: NDArray[np.int64], statuses: NDArray[np.uint32]) -> None:
        first = int(np.argmin(np.where(statuses != 0, indexes, len(self.ops))))
        self.result.note(int(indexes[first]), int(statuses[first]))

    def finish(self) -> None:
        if not self.future.done():
            self.result.close(int(self.ops["opcode"][0]) if len(self.ops) else _READ)
            self.future.set_result(self.result)


def check_offsets(device: Device, offsets: NDArray[np.int64], bs: int) -> None:
    """Raises for the first block that cannot be, before anything is started."""
    block = device.block_size
    end = -(-device.size // block) * block
    beyond = (offsets < 0) | (offsets > end - bs)
    _refuse_first(offsets, beyond, RangeError, ERANGE, f"beyond the end of {end} bytes")
    _refuse_first(
        offsets,
        offsets % block != 0,
        ArgumentError,
        EINVAL,
        f"misaligned: it must be a multiple of {block} bytes",
    )


def _refuse_first(
    offsets: NDArray[np.int64],
    wrong: NDArray[np.bool_],
    kind: type[RingwayError],
    code: int,
    what: str,
) -> None:
    if wrong.any():
        index = int(np.argmax(wrong))
        raise kind(
            code,
            f"offset {offsets[index]} is {what} "
            f"(operation {index} of {len(offsets)}; none was started)",
        )
