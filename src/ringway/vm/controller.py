"""Controllers of a topology, the subsystems they may share, and their virtual functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from .namespace import Namespace
from .record import GIB, MIB, Record, Size, power_of_two

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,11}")
_NAME_RULE = "a name has up to 12 letters, digits and _, a letter first"
#: Names of what a machine has beside its drives.
_TAKEN = re.compile(r"ports|console|monitor|(port|share)[0-9]+")
#: Vectors in an MSI-X table (PCI base specification, section 6.8.2).
_MAX_VECTORS = 2048
#: I/O queues of a controller (NVMe base specification, Number of Queues).
_MAX_QUEUES = 65535


def _wrong_name(name: str) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"name: {name!r}; {_NAME_RULE}"
    if _TAKEN.fullmatch(name):
        yield f"name: {name} is what another part of the machine is called; choose another"


class Sriov(Record, frozen=True, kw_only=True):
    """Virtual functions, with queues and interrupts that the guest shares out among them.

    Section 8.26 of the NVMe base specification 2.0, virtualization enhancements.
    """

    vfs: int
    #: I/O queue pairs and interrupt vectors that one function can get.
    queues: int = 2
    vectors: int = 3
    #: What there is to share out: I/O and admin queues, vectors. None: enough for all at once.
    flexible_queues: int | None = None
    flexible_vectors: int | None = None

    def wrong(self) -> Iterator[str]:
        if not 1 <= self.vfs <= 127:
            yield f"vfs: {self.vfs} is outside 1 to 127"
        if self.queues < 1 or self.vectors < 1:
            yield "queues, vectors: a function needs at least one of each"
        if self.flexible_queues is not None and self.flexible_queues < 2 * self.vfs:
            yield f"flexible_queues: two for each function are needed, {2 * self.vfs}"
        if self.flexible_vectors is not None and self.flexible_vectors < self.vfs:
            yield f"flexible_vectors: one for each function is needed, {self.vfs}"

    @property
    def shared_queues(self) -> int:
        """Queues to share out; each function's admin queue counts."""
        return self.flexible_queues or self.vfs * (self.queues + 1)

    @property
    def shared_vectors(self) -> int:
        return self.flexible_vectors or self.vfs * self.vectors


class Fdp(Record, frozen=True, kw_only=True):
    """Flexible Data Placement, a property of the subsystem (TP4146)."""

    #: Reclaim unit handles, what namespaces choose from.
    handles: int
    #: Reclaim groups, and bytes of a reclaim unit.
    groups: int = 1
    unit: Size = Size(96 * MIB)

    def wrong(self) -> Iterator[str]:
        if not 1 <= self.handles <= 128:
            yield f"handles: {self.handles} is outside 1 to 128"
        if self.groups < 1 or self.unit < 1:
            yield "groups, unit: at least one group, and units of at least a byte"


class Subsystem(Record, frozen=True, kw_only=True):
    """An NVM subsystem, for controllers that share namespaces and for FDP."""

    name: str
    fdp: Fdp | None = None

    def wrong(self) -> Iterator[str]:
        yield from _wrong_name(self.name)


class Controller(Record, frozen=True, kw_only=True):
    """An NVMe controller, alone behind a root port so that it can be unplugged."""

    #: What tests and QMP call it; given: nvme0, nvme1, … in the order of the file.
    name: str = ""
    #: Up to 20 characters; given: made from the name, or the subsystem's.
    serial: str = ""
    #: I/O queue pairs; as many interrupt vectors, and one for the admin queue.
    queues: int = 8
    #: A command transfers at most 2**mdts times 4 KiB; 0: any size.
    mdts: int = 7
    #: The same limits for Zone Append and Verify; None: QEMU's.
    zasl: int | None = None
    vsl: int | None = None
    #: Asynchronous event requests that may be outstanding, less one.
    aerl: int = 3
    #: Doorbells in memory (Doorbell Buffer Config); None: as this QEMU does by itself.
    shadow_doorbells: bool | None = None
    #: Handle doorbells in a thread of QEMU's, not on the CPU that wrote them.
    ioeventfd: bool = False
    #: Controller memory buffer and persistent memory region; 0: none.
    cmb: Size = Size(0)
    pmr: Size = Size(0)
    sriov: Sriov | None = None
    subsystem: str | None = None
    #: What the guest gives it to at boot; "none": nothing.
    driver: Literal["nvme", "vfio-pci", "none"] = "nvme"
    namespaces: tuple[Namespace, ...] = msgspec.field(default=(), name="namespace")

    def wrong(self) -> Iterator[str]:
        if self.name:
            yield from _wrong_name(self.name)
        if not re.fullmatch(r"[!-+\--~]{0,20}", self.serial):
            yield f"serial: {self.serial!r}; up to 20 ASCII characters, no comma, no space"
        if not 1 <= self.queues <= 256:
            yield f"queues: {self.queues} is outside 1 to 256"
        for key, most in (("mdts", 16), ("zasl", 16), ("vsl", 16), ("aerl", 255)):
            value = getattr(self, key)
            if value is not None and not 0 <= value <= most:
                yield f"{key}: {value} is outside 0 to {most}"
        if self.zasl and self.mdts and self.zasl > self.mdts:
            yield f"zasl: {self.zasl} is more than mdts ({self.mdts})"
        yield from self._wrong_regions()
        if self.sriov:
            yield from self._wrong_functions(self.sriov)

    def _wrong_regions(self) -> Iterator[str]:
        for key, size in (("cmb", self.cmb), ("pmr", self.pmr)):
            if size and not (power_of_two(size) and MIB <= size <= GIB):
                yield f"{key}: {size} bytes; a power of two from 1MiB to 1GiB is needed"

    def _wrong_functions(self, sriov: Sriov) -> Iterator[str]:
        if self.cmb or self.pmr:
            yield "cmb, pmr: QEMU has none on a controller with sriov; leave one out"
        if self.queues < 2:
            yield "queues: with sriov the controller keeps at least 2 for itself"
        vectors = self.queues + 1 + sriov.shared_vectors
        if vectors > _MAX_VECTORS:
            yield (
                f"sriov: {vectors} interrupt vectors in all, its own among them, and PCI has up to"
                f" {_MAX_VECTORS}; lower vectors, vfs or flexible_vectors"
            )
        queues = self.queues + sriov.shared_queues
        if queues > _MAX_QUEUES:
            yield (
                f"sriov: {queues} queues in all, its own among them, and NVMe has up to"
                f" {_MAX_QUEUES}; lower queues, vfs or flexible_queues"
            )

    @property
    def drives(self) -> tuple[str, ...]:
        """Names of its namespaces: nvme0n1 is namespace 1 of nvme0."""
        return tuple(f"{self.name}n{namespace.nsid}" for namespace in self.namespaces)
