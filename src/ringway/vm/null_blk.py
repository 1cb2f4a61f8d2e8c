"""The null_blk devices of a topology: block devices without a drive behind them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from .record import GIB, MIB, Record, Seconds, Size, power_of_two


class NullBlk(Record, frozen=True, kw_only=True):
    """A null_blk device: nullb0 is the first of the topology, nullb1 the next.

    Source of the attributes: the kernel's Documentation/block/null_blk.rst.
    """

    size: Size = Size(GIB)
    block_size: int = 512
    #: Hardware queues, and more of them for IOPOLL.
    queues: int = 1
    poll_queues: int = 0
    depth: int = 64
    #: How a command ends: at once, in a softirq, or by a timer after `latency`.
    completion: Literal["none", "softirq", "timer"] = "none"
    latency: Seconds = Seconds(10e-6)
    #: Keep what is written; else reads find nothing in particular.
    memory_backed: bool = False
    discard: bool = False
    #: A device that may block in submission, as loop and network devices do.
    blocking: bool = False
    #: Zone size of a zoned device; None: not zoned.
    zone_size: Size | None = None

    def wrong(self) -> Iterator[str]:
        if self.size < MIB or self.size % MIB:
            yield f"size: {self.size} bytes; null_blk counts in MiB, for instance 1GiB"
        if self.block_size not in (512, 1024, 2048, 4096):
            yield f"block_size: {self.block_size} is not one of 512, 1024, 2048 and 4096"
        if not 1 <= self.queues <= 64 or not 0 <= self.poll_queues <= 64:
            yield "queues, poll_queues: from 1 to 64, and from 0 to 64"
        if not 1 <= self.depth <= 1024:
            yield f"depth: {self.depth} is outside 1 to 1024"
        if self.discard and not self.memory_backed:
            yield "discard: needs memory_backed = true"
        zone = self.zone_size
        if zone is not None and not (power_of_two(zone) and MIB <= zone <= self.size):
            yield (
                f"zone_size: {zone} bytes; a power of two is needed, from 1MiB to the size of the"
                " device, for instance 4MiB"
            )

    def attributes(self) -> dict[str, str]:
        """What to write to its folder in configfs, in this order, before ``power`` gets 1."""
        values = {
            "size": self.size // MIB,
            "blocksize": self.block_size,
            "queue_mode": 2,
            "submit_queues": self.queues,
            "poll_queues": self.poll_queues,
            "hw_queue_depth": self.depth,
            "irqmode": ("none", "softirq", "timer").index(self.completion),
            "completion_nsec": self.latency.nanoseconds,
            "memory_backed": int(self.memory_backed),
            "discard": int(self.discard),
            "blocking": int(self.blocking),
        }
        if self.zone_size is not None:
            values |= {"zoned": 1, "zone_size": self.zone_size // MIB}
        return {name: str(value) for name, value in values.items()}
