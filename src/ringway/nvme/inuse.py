"""Who uses an NVMe controller: mounts, swap, holders, loop devices, processes.

Looked for is everything between the namespaces and their users: partitions, and what device
mapper, RAID or bcache have built on them. What the kernel holds without saying so shows when the
exclusive claim is refused, see `claim_all`.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from ringway.errors import error_of
from ringway.storage import read_text

from .descriptors import Opened, having
from .host import Host
from .sysfs import Controller, entries

_ADVICE = {
    "root": "it cannot be given away while the system runs from it",
    "mounted": "unmount it first",
    "swap": "swapoff it first",
    "held": "take apart what is built on it first (dmsetup, vgchange -an, mdadm --stop)",
    "btrfs": "unmount that file system first",
    "loop": "losetup -d it first",
    "exported": "remove it from the NVMe target first",
    "claimed": "end what has it first; 'fuser -v' may find it",
    "open": "end the process first",
}


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One use of a device. `kind` is a key of the advice: root, mounted, swap, held, …"""

    kind: str
    #: Its name in /dev.
    device: str
    #: The whole of it as a clause, as "nvme0n1p2 is mounted at /srv".
    text: str

    @property
    def advice(self) -> str:
        """What makes the device free."""
        return _ADVICE[self.kind]


def uses_of(host: Host, controller: Controller, opened: list[Opened]) -> list[Use]:
    """Everything that is known to use the controller's namespaces, without claiming them.

    `opened` is what `descriptors.open_devices` found.
    """
    stack = _stack(host, [space.block for space in controller.namespaces if space.block])
    found = [
        *_mounts(host, stack),
        *_swaps(host, stack),
        *_holders(host, stack),
        *_members_of_btrfs(host, stack),
        *_loops(host, stack),
        *_exports(host, stack),
        *_openers(host, [*stack, *controller.nodes()], opened),
    ]
    return list(dict.fromkeys(found))


def claim_all(host: Host, controller: Controller, claims: ExitStack) -> Use | None:
    """Takes the exclusive claim on every block device, given back when `claims` is closed.

    While they are held nothing is mounted, nor becomes swap or part of a volume. Answers what
    stands against it, or None. Raises `RingwayError` where a node cannot be opened.
    """
    for space in controller.namespaces:
        if not space.block:
            continue
        try:
            claims.callback(os.close, host.claim(space.block))
        except OSError as error:
            if error.errno == errno.EBUSY:
                return _claimed(space.block)
            # A namespace of no size has a node that cannot be opened, and no data.
            if error.errno not in (errno.ENXIO, errno.ENODEV):
                raise _unclaimable(space.block, error) from None
    return None


def _claimed(name: str) -> Use:
    text = f"{name} or a partition of it is claimed exclusively, by a program or a mount elsewhere"
    return Use(kind="claimed", device=name, text=text)


def _unclaimable(name: str, error: OSError) -> OSError:
    code = error.errno or errno.EIO
    return error_of(
        -code,
        f"whether /dev/{name} is in use cannot be found out: {os.strerror(code)}"
        + ("; run it as root" if code in (errno.EACCES, errno.EPERM) else ""),
    )


# ---------------------------------------------------------------- what is built on what


def _stack(host: Host, names: list[str]) -> dict[str, str]:
    """The devices, their partitions and all that is built on them, with their numbers."""
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            folder = host.sys / "class/block" / name
            found[name] = read_text(folder / "dev") or ""
            waiting += [part.parent.name for part in folder.glob("*/partition")]
            waiting += [entry.name for entry in entries(folder / "holders")]
    return dict(sorted(found.items()))


def _lines(file: Path) -> list[str]:
    return (read_text(file) or "").splitlines()


def _unescape(text: str) -> str:
    """Undoes the kernel's octal escapes: ``\\040`` is a space."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _known(stack: dict[str, str], node: str) -> str | None:
    """The device of the stack that a node is, by its name or by its number."""
    name = node.removeprefix("/dev/").replace("/", "!")
    return name if name in stack else _by_number(stack, node)


def _by_number(stack: dict[str, str], node: str | Path) -> str | None:
    try:
        info = os.stat(node)
    except OSError:
        return None
    return _numbered(stack, info.st_rdev) if stat.S_ISBLK(info.st_mode) else None


def _numbered(stack: dict[str, str], number: int) -> str | None:
    wanted = f"{os.major(number)}:{os.minor(number)}"
    return next((name for name, own in stack.items() if own == wanted), None)


# ---------------------------------------------------------------- the kernel's lists


def _mounts(host: Host, stack: dict[str, str]) -> Iterator[Use]:
    """Here, and in the first process' view, should ours be another."""
    numbers = {number: name for name, number in stack.items() if number}
    for line in [*_lines(host.proc / "self/mountinfo"), *_lines(host.proc / "1/mountinfo")]:
        own, _, rest = line.partition(" - ")
        fields, filesystem = own.split(), rest.split()
        if len(fields) < 5:
            continue
        name = numbers.get(fields[2])
        if name is None and len(filesystem) > 1 and filesystem[1].startswith("/"):
            name = _known(stack, _unescape(filesystem[1]))
        if name:
            yield _mounted(name, _unescape(fields[4]))


def _mounted(name: str, point: str) -> Use:
    if point == "/":
        return Use(kind="root", device=name, text=f"the root file system lies on {name}")
    return Use(kind="mounted", device=name, text=f"{name} is mounted at {point}")


def _swaps(host: Host, stack: dict[str, str]) -> Iterator[Use]:
    for line in _lines(host.proc / "swaps")[1:]:
        if name := _known(stack, _unescape(line.split()[0])):
            yield Use(kind="swap", device=name, text=f"{name} is swap space")


def _holders(host: Host, stack: dict[str, str]) -> Iterator[Use]:
    for name in stack:
        for entry in entries(host.sys / "class/block" / name / "holders"):
            label = read_text(host.sys / "class/block" / entry.name / "dm/name")
            shown = f"{entry.name} ({label})" if label else entry.name
            yield Use(kind="held", device=name, text=f"{name} is held by {shown}")


def _members_of_btrfs(host: Host, stack: dict[str, str]) -> Iterator[Use]:
    """mountinfo names one device of a file system that may lie on several."""
    for entry in sorted(host.sys.glob("fs/btrfs/*/devices/*")):
        if entry.name in stack:
            name, uuid = entry.name, entry.parents[1].name
            yield Use(kind="btrfs", device=name, text=f"{name} is part of the btrfs {uuid}")


def _loops(host: Host, stack: dict[str, str]) -> Iterator[Use]:
    """A loop device keeps what is behind it open without a descriptor or a claim."""
    for file in sorted(host.sys.glob("class/block/loop*/loop/backing_file")):
        if name := _known(stack, read_text(file) or ""):
            loop = file.parents[1].name
            yield Use(kind="loop", device=name, text=f"{name} is behind {loop}")


def _exports(host: Host, stack: dict[str, str]) -> Iterator[Use]:
    """The kernel's NVMe target takes no claim on what it serves."""
    for file in sorted(host.sys.glob("kernel/config/nvmet/subsystems/*/namespaces/*/device_path")):
        name = _known(stack, (read_text(file) or "").strip('"'))
        if name and read_text(file.parent / "enable") == "1":
            subsystem = file.parents[2].name
            yield Use(kind="exported", device=name, text=f"{name} is served as {subsystem}")


def _openers(host: Host, names: list[str], opened: list[Opened]) -> Iterator[Use]:
    for name in dict.fromkeys(names):
        for text in having(host, name, opened):
            yield Use(kind="open", device=name, text=text)
