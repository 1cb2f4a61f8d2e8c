"""Namespaces of a topology: their format, what holds their data, the faults injected into them."""

from __future__ import annotations

import errno as errors
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from ..nearest import unknown
from .record import MIB, Record, Seconds, Size, power_of_two

LBA_SIZES = (512, 4096)
#: Every block of a fault is a rule of QEMU's.
MAX_FAULT_BLOCKS = 64
#: Every command before a fault is a rule as well.
MAX_FAULT_AFTER = 64
#: Bytes of protection information: CRC-16, or CRC-64 with the 64-bit guard.
_TUPLE = {16: 8, 64: 16}


class Zones(Record, frozen=True, kw_only=True):
    """Zoned Namespace Command Set: the shape of the zones; 0 open or active: no limit."""

    size: Size = Size(8 * MIB)
    #: Writable part of a zone; None: all of it.
    capacity: Size | None = None
    max_open: int = 0
    max_active: int = 0

    def wrong(self) -> Iterator[str]:
        if self.size < MIB or not power_of_two(self.size):
            yield f"size: zones of {self.size} bytes; Linux needs a power of two, here from 1MiB"
        if self.capacity is not None and not 0 < self.capacity <= self.size:
            yield f"capacity: {self.capacity} is outside 1 to the zone's size ({self.size})"
        if min(self.max_open, self.max_active) < 0:
            yield "max_open, max_active: a limit is not negative; 0 is none"
        if self.max_active and not 0 < self.max_open <= self.max_active:
            yield "max_open: with max_active, give a limit from 1 to max_active"


class Fault(Record, frozen=True, kw_only=True):
    """Commands that fail, as QEMU's blkdebug driver injects them.

    The controller reports a failed read as Unrecovered Read Error, a failed write, flush or
    write zeroes as Write Fault, whatever `errno` is.
    """

    on: Literal["read", "write", "write-zeroes", "discard", "flush"]
    #: First logical block whose commands fail; None: those of every block.
    lba: int | None = None
    #: How many blocks from `lba` on.
    blocks: int = 1
    errno: str = "EIO"
    #: Fail a single command (with `lba`: one for each block), not all.
    once: bool = False
    #: Let this many reads or writes of the namespace pass first, those of the boot included.
    after: int = 0

    def wrong(self) -> Iterator[str]:
        if self.lba is not None and self.lba < 0:
            yield f"lba: {self.lba} is negative; blocks are counted from 0"
        if self.lba is None and self.blocks != 1:
            yield "blocks: counts from lba; give the first block as lba"
        if not 1 <= self.blocks <= MAX_FAULT_BLOCKS:
            yield f"blocks: {self.blocks} is outside 1 to {MAX_FAULT_BLOCKS}; add a second fault"
        if self.lba is not None and self.on == "flush":
            yield "lba: a flush has no block; leave lba out"
        if self.errno not in errors.errorcode.values():
            yield f"errno: {unknown('error', self.errno, errors.errorcode.values())}"
        if not 0 <= self.after <= MAX_FAULT_AFTER:
            yield f"after: {self.after} is outside 0 to {MAX_FAULT_AFTER}"
        if self.after and self.on not in ("read", "write"):
            yield f"after: only reads and writes are counted, and on is {self.on}"

    @property
    def number(self) -> int:
        """`errno` as a number."""
        return int(getattr(errors, self.errno))


class Limit(Record, frozen=True, kw_only=True):
    """Throttling: operations and bytes per second; 0: no limit."""

    iops: int = 0
    read_iops: int = 0
    write_iops: int = 0
    bandwidth: Size = Size(0)
    read_bandwidth: Size = Size(0)
    write_bandwidth: Size = Size(0)

    def wrong(self) -> Iterator[str]:
        values = msgspec.structs.asdict(self)
        if min(values.values()) < 0:
            yield "a limit is not negative; 0 is none"
        if not any(values.values()):
            yield "no limit is given; for instance iops = 1000"
        for kind in ("iops", "bandwidth"):
            if values[kind] and (values[f"read_{kind}"] or values[f"write_{kind}"]):
                yield f"{kind}: limits reads and writes together; give it or the two, not both"


class Namespace(Record, frozen=True, kw_only=True):
    """A namespace: its size and format, and what holds its data."""

    #: Bytes of data; not given where `file` is, whose size it has.
    size: Size | None = None
    #: Namespace identifier; None: the next free one.
    nsid: int | None = None
    #: Bytes of a logical block.
    lba: int = 512
    #: Bytes of metadata per block; `extended`: behind each block's data, not in a buffer apart.
    metadata: int = 0
    extended: bool = False
    #: Type of end-to-end protection information, 1 to 3; 0: none.
    protection: int = 0
    #: It comes first in the metadata, not last.
    protection_first: bool = False
    #: Bits of its guard, 16 or 64.
    guard: int = 16
    zones: Zones | None = None
    #: FDP: the reclaim unit handles of the subsystem that this namespace may use.
    handles: tuple[int, ...] = ()
    #: Attached to every controller of its subsystem, virtual functions included.
    shared: bool = False
    #: memory and file keep data until the machine ends, null reads as zeroes.
    backing: Literal["memory", "file", "null"] = "memory"
    #: With backing "file": a raw image that is there. It is only read, unless `writable`.
    file: str | None = None
    writable: bool = False
    #: With backing "null": how long every command takes.
    latency: Seconds = Seconds(0)
    faults: tuple[Fault, ...] = msgspec.field(default=(), name="fault")
    limit: Limit | None = None

    def wrong(self) -> Iterator[str]:
        yield from self._wrong_format()
        yield from self._wrong_backing()
        if self.nsid is not None and not 1 <= self.nsid <= 256:
            yield f"nsid: {self.nsid} is outside 1 to 256"
        for fault in self.faults:
            end = (fault.lba or 0) + fault.blocks
            if self.size is not None and end * self.lba > self.size:
                yield f"fault.lba: block {end - 1} is beyond the end of {self.size} bytes"

    def _wrong_format(self) -> Iterator[str]:
        if self.lba not in LBA_SIZES:
            yield f"lba: {self.lba} is not one of 512 and 4096"
        if self.metadata not in (0, 8, 16, 64):
            yield f"metadata: {self.metadata} is not one of 0, 8, 16 and 64 bytes"
        if self.extended and not self.metadata:
            yield "extended: says where the metadata is; give metadata = 8, 16 or 64"
        if self.protection not in range(4):
            yield f"protection: type {self.protection} is not one of 0 (none), 1, 2 and 3"
        if self.guard not in _TUPLE:
            yield f"guard: {self.guard} is not one of 16 and 64 bits"
        elif self.protection and self.metadata < _TUPLE[self.guard]:
            need = _TUPLE[self.guard]
            yield f"protection: takes {need} bytes of metadata; there are {self.metadata}"
        if self.zones and self.size is not None and self.size < self.zones.size:
            yield f"zones: one zone has {self.zones.size} bytes, the namespace only {self.size}"

    def _wrong_backing(self) -> Iterator[str]:
        given = self.file is not None
        if given and self.backing != "file":
            yield f'file: needs backing = "file"; it is "{self.backing}"'
        if given and self.size is not None:
            yield "size: is the size of the file; leave it out"
        if not given and not self.size:
            yield "size: how large is the namespace? For instance 256MiB"
        if given:
            yield from self._wrong_file(Path(str(self.file)))
        if self.writable and not given:
            yield "writable: lets a given file be written; all else is writable anyway"
        if self.size is not None and self.lba in LBA_SIZES and self.size % self.lba:
            yield f"size: {self.size} bytes are no whole number of blocks of {self.lba}"
        if self.latency and self.backing != "null":
            yield 'latency: needs backing = "null"; elsewhere use [controller.namespace.limit]'

    def _wrong_file(self, file: Path) -> Iterator[str]:
        """Only where its folder is known: see topologies.load_topology."""
        if not file.is_absolute():
            return
        try:
            status = file.stat()
        except OSError as error:
            yield (
                f"file: {file} cannot be opened: {error.strerror};"
                f" make one, for instance: truncate -s 1G {file.name}"
            )
            return
        if not stat.S_ISREG(status.st_mode):
            yield f"file: {file} is no regular file; a raw image is needed"
        elif not status.st_size:
            yield f"file: {file} is empty, and the namespace has its size; truncate -s 1G makes one"
        elif not os.access(file, os.R_OK):
            yield f"file: {file} may not be read by you; allow it with chmod"
        elif self.writable and not os.access(file, os.W_OK):
            yield f"file: {file} may not be written by you; leave writable out, or chmod it"

    @property
    def stored(self) -> int:
        """Bytes that hold its data and metadata; 0 where a given file has them."""
        return (self.size or 0) // self.lba * (self.lba + self.metadata)
