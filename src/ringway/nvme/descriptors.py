"""Which processes have device nodes open, as far as this user may see: proc_pid_fd(5).

A node that is mapped into memory stays in use when its descriptor is closed, so the mappings are
looked through as well: proc_pid_maps(5).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from .host import Host
from .sysfs import entries

#: Part of a node's name wherever the folder is mounted, as for a chroot.
_FOLDER = "/dev/"
#: A container's /dev may be a file system of its own, whose nodes have no /dev/ before their name.
_BARE = ("/nvme", "/ng", "/vfio/", "/uio")
#: The descriptor of a device opened through its VFIO group; it does not tell which device.
_VFIO_DEVICE = "anon_inode:[vfio-device]"


class Process(msgspec.Struct, frozen=True):
    """Somebody with a descriptor or a mapping."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name})"


class Opened(msgspec.Struct, frozen=True):
    """A descriptor or mapping of a device node: whose it is, and the node's name and identity."""

    process: Process
    node: str
    #: Block device or not, and its number; None where it cannot be found out.
    identity: tuple[bool, int] | None
    #: Mapped into memory.
    mapped: bool = False


def open_devices(host: Host) -> list[Opened]:
    """Every descriptor and mapping of a device node that this user may see."""
    return [entry for process in _processes(host) for entry in _opened_by(process)]


def having(host: Host, name: str, opened: list[Opened]) -> list[str]:
    """Who has the node ``/dev/NAME``, under whatever name: a clause for each process.

    As "process 42 (fio) has /dev/nvme0n1 open", or "mapped" where the descriptor is closed.
    """
    node = host.node(name)
    identity = _identity(node)
    mapped: dict[Process, bool] = {}
    for entry in opened:
        if entry.node == str(node) or (identity and entry.identity == identity):
            mapped[entry.process] = entry.mapped and mapped.get(entry.process, True)
    return [
        f"{process} has /dev/{name} {'mapped' if only else 'open'}"
        for process, only in mapped.items()
    ]


def driving(opened: list[Opened]) -> list[Process]:
    """The processes that drive some device or other through VFIO."""
    return list(dict.fromkeys(entry.process for entry in opened if entry.node == _VFIO_DEVICE))


def _processes(host: Host) -> Iterator[Path]:
    return (folder for folder in host.proc.glob("[0-9]*") if folder.name.isdecimal())


def _opened_by(folder: Path) -> Iterator[Opened]:
    process = None
    for node, link, mapped in [*_descriptors(folder), *_mappings(folder)]:
        process = process or Process(int(folder.name), _text(folder / "comm").strip() or "?")
        yield Opened(process, node, _identity(link), mapped)


def _is_device(node: str) -> bool:
    """By its name: only then is it looked at, which can hang on a file system of the network."""
    return _FOLDER in node or node.startswith((*_BARE, _VFIO_DEVICE))


def _descriptors(folder: Path) -> Iterator[tuple[str, Path, bool]]:
    for link in entries(folder / "fd"):
        if _is_device(node := _target(link)):
            yield node, link, False


def _mappings(folder: Path) -> Iterator[tuple[str, Path, bool]]:
    """Each file once. Its numbers in the list are those of the folder that the node lies in.

    Which device it is tells the link in ``map_files``, also of a node that was renamed since.
    """
    links: dict[tuple[str, ...], str] = {}
    for line in _text(folder / "maps").split("\n"):
        fields = line.split(maxsplit=5)
        if len(fields) > 5 and _is_device(fields[5]):
            links.setdefault((*fields[3:5], fields[5]), fields[0])
    for (*_, node), span in links.items():
        # Addresses have leading zeros in the list, and none in the names of the links.
        first, last = (int(address, 16) for address in span.split("-"))
        yield node, folder / f"map_files/{first:x}-{last:x}", True


def _text(file: Path) -> str:
    """Names of files and processes are bytes that need not be UTF-8."""
    try:
        return file.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _identity(file: Path) -> tuple[bool, int] | None:
    try:
        info = file.stat()
    except OSError:
        return None
    block = stat.S_ISBLK(info.st_mode)
    return (block, info.st_rdev) if block or stat.S_ISCHR(info.st_mode) else None
