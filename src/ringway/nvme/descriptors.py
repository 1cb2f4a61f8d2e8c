"""Which processes have device nodes open, as far as this user may see: ``/proc/PID/fd``."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ringway.storage import read_text

from .host import Host

#: A container's /dev may be a file system of its own, whose nodes have no /dev/ before their name.
_BARE = ("/nvme", "/ng", "/vfio/", "/uio")
#: The descriptor of a device opened through its VFIO group; it does not tell which device.
_VFIO_DEVICE = "anon_inode:[vfio-device]"


class Process(msgspec.Struct, frozen=True):
    """Somebody with a descriptor."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name})"


class Opened(msgspec.Struct, frozen=True):
    """A descriptor of a device node: whose it is, and the node's name and identity."""

    process: Process
    node: str
    #: Block device or not, and its number; None where it cannot be found out.
    identity: tuple[bool, int] | None


def open_devices(host: Host) -> list[Opened]:
    """Every descriptor of a device node that this user may see."""
    names = (f"{host.dev}/", *_BARE, _VFIO_DEVICE)
    return [entry for process in _processes(host) for entry in _opened_by(process, names)]


def having(host: Host, name: str, opened: list[Opened]) -> list[Process]:
    """The processes that have the node ``/dev/NAME`` open, under whatever name."""
    node = host.node(name)
    identity = _identity(node)
    return list(
        dict.fromkeys(
            entry.process
            for entry in opened
            if entry.node == str(node) or (identity and entry.identity == identity)
        )
    )


def driving(opened: list[Opened]) -> list[Process]:
    """The processes that drive some device or other through VFIO."""
    return list(dict.fromkeys(entry.process for entry in opened if entry.node == _VFIO_DEVICE))


def _processes(host: Host) -> Iterator[Path]:
    return (folder for folder in host.proc.glob("[0-9]*") if folder.name.isdecimal())


def _opened_by(folder: Path, names: tuple[str, ...]) -> Iterator[Opened]:
    process = None
    for link in _links(folder / "fd"):
        node = _target(link)
        if node.startswith(names):
            process = process or Process(int(folder.name), read_text(folder / "comm") or "?")
            yield Opened(process, node, _identity(link))


def _links(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


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
