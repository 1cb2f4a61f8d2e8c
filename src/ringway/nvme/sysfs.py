"""NVMe controllers in sysfs: drivers, IOMMU groups, namespaces. Nothing here judges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ringway.storage import read_text

from .host import Host

#: Mass storage, non-volatile memory, NVM Express: PCI class code, base 01h, sub 08h, interface 02h.
NVME_CLASS = "0x010802"

_BRIDGE_CLASSES = ("0x0604", "0x0609")
_BLOCK = re.compile(r"nvme(\d+)(?:c\d+)?(n\d+)")
_GENERIC = re.compile(r"ng\d+(n\d+)")


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Another device in the IOMMU group of a controller."""

    pci: str
    class_code: str
    driver: str | None

    @property
    def bridge(self) -> bool:
        """A bridge or root port, which stays with its driver."""
        return self.class_code.startswith(_BRIDGE_CLASSES)


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace that the kernel's driver shows. Sizes are bytes; None: it does not say."""

    nsid: int | None
    #: Names in /dev: the block device, and the character device for passthrough.
    block: str | None
    character: str | None
    size: int | None = None
    block_size: int | None = None
    #: What takes commands by this controller where several lead to the namespace.
    path: str | None = None

    def nodes(self) -> list[str]:
        """Names in /dev."""
        return [name for name in (self.block, self.character) if name]


class Controller(msgspec.Struct, frozen=True, kw_only=True):
    """An NVMe controller on the PCI bus. What only its driver knows is None without one."""

    pci: str
    driver: str | None
    driver_override: str | None = None
    name: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    state: str | None = None
    iommu_group: str | None = None
    #: The group protects nothing: VFIO's mode without an IOMMU.
    noiommu: bool = False
    #: What else is in the group.
    group: list[Member] = []
    #: None: the machine has no such thing, or does not say.
    numa_node: int | None = None
    #: Virtual functions that are switched on, and the physical function of a virtual one.
    virtual_functions: int = 0
    physical_function: str | None = None
    namespaces: list[Namespace] = []

    def nodes(self) -> list[str]:
        """Names in /dev of the controller and its namespaces, without their partitions."""
        names = [self.name] if self.name else []
        return [*names, *(name for space in self.namespaces for name in space.nodes())]

    def title(self) -> str:
        """The address, and what a person knows the drive by."""
        known = [word for word in (self.model, self.serial) if word]
        return f"{self.pci} ({', '.join(known)})" if known else self.pci


def addresses(host: Host) -> list[str]:
    """PCI addresses of all NVMe controllers, in order."""
    folders = entries(host.devices)
    return [folder.name for folder in folders if read_text(folder / "class") == NVME_CLASS]


def controllers(host: Host) -> list[Controller]:
    """All NVMe controllers on the PCI bus, in the order of their addresses."""
    return [read_controller(host, address) for address in addresses(host)]


def class_of(host: Host, address: str) -> str | None:
    """The class code of a PCI device; None where there is no such device."""
    return read_text(host.devices / address / "class")


def read_controller(host: Host, address: str) -> Controller:
    """What sysfs says of the controller at that address."""
    folder = host.devices / address
    name, own = _driver_side(folder)
    return Controller(
        pci=address,
        driver=link_name(folder / "driver"),
        driver_override=_override(folder),
        name=name,
        model=_fact(own, "model"),
        serial=_fact(own, "serial"),
        firmware=_fact(own, "firmware_rev"),
        state=_fact(own, "state"),
        iommu_group=link_name(folder / "iommu_group"),
        noiommu=read_text(folder / "iommu_group/name") == "vfio-noiommu",
        group=_members(host, folder, address),
        numa_node=_numa_node(folder),
        virtual_functions=_number(folder / "sriov_numvfs") or 0,
        physical_function=link_name(folder / "physfn"),
        namespaces=list(_namespaces(host, own)) if own else [],
    )


def entries(folder: Path) -> list[Path]:
    """What is in a folder, in order; nothing where it is not there, or goes meanwhile."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def link_name(link: Path) -> str | None:
    """The last part of where a link leads, or None where there is none."""
    try:
        return link.readlink().name
    except OSError:
        return None


def _driver_side(folder: Path) -> tuple[str | None, Path | None]:
    """The folder that the NVMe driver adds, and its name."""
    for own in sorted(folder.glob("nvme/nvme*")):
        return own.name, own
    return None, None


def _override(folder: Path) -> str | None:
    text = read_text(folder / "driver_override")
    return None if text in (None, "", "(null)") else text


def _fact(folder: Path | None, name: str) -> str | None:
    return (read_text(folder / name) or None) if folder else None


def _number(file: Path) -> int | None:
    try:
        return int(read_text(file) or "")
    except ValueError:
        return None


def _numa_node(folder: Path) -> int | None:
    number = _number(folder / "numa_node")
    return None if number is None or number < 0 else number


def _members(host: Host, folder: Path, address: str) -> list[Member]:
    names = [entry.name for entry in entries(folder / "iommu_group/devices")]
    return [
        Member(
            pci=name,
            class_code=class_of(host, name) or "",
            driver=link_name(host.devices / name / "driver"),
        )
        for name in names
        if name != address
    ]


def _namespaces(host: Host, own: Path) -> Iterator[Namespace]:
    """Block and character devices of one namespace have the same end of their names."""
    paths: dict[str, tuple[str, Path]] = {}
    generic: dict[str, str] = {}
    for entry in entries(own):
        if found := _BLOCK.fullmatch(entry.name):
            # nvme0c1n1 is one controller's way to nvme0n1, which has the block device.
            paths[found[2]] = (f"nvme{found[1]}{found[2]}", entry)
        elif found := _GENERIC.fullmatch(entry.name):
            generic[found[1]] = entry.name
    for end in sorted(paths.keys() | generic.keys(), key=lambda word: int(word[1:])):
        if end in paths:
            yield _namespace(host, *paths[end], generic.get(end))
        else:
            yield Namespace(nsid=None, block=None, character=generic[end])


def _namespace(host: Host, block: str, entry: Path, character: str | None) -> Namespace:
    shared = entry.name != block
    folder = host.sys / "class/block" / block
    if shared and character is None:
        character = block.replace("nvme", "ng", 1)
        character = character if (host.sys / "class/nvme-generic" / character).exists() else None
    sectors = _number(folder / "size")
    return Namespace(
        nsid=_number(folder / "nsid") or _number(entry / "nsid"),
        block=block,
        character=character,
        size=None if sectors is None else sectors * 512,
        block_size=_number(folder / "queue/logical_block_size"),
        path=entry.name if shared else None,
    )
