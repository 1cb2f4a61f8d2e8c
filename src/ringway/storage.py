"""The storage under a target: its block device, its file system, what the kernel says of both."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

_SECTOR = 512


def block_node(target: str) -> str:
    """The block device of an NVMe namespace named by its character device; else the target."""
    node = Path(os.path.realpath(target))
    block = node.with_name(node.name.replace("ng", "nvme", 1))
    return str(block) if node.is_char_device() and block.is_block_device() else target


def command_node(target: str) -> str:
    """The character device of an NVMe namespace named by its block device; else the target."""
    node = Path(os.path.realpath(target))
    character = node.with_name(node.name.replace("nvme", "ng", 1))
    return str(character) if node.is_block_device() and character.is_char_device() else target


@dataclass(frozen=True)
class BlockDevice:
    """A block device in sysfs; `folder` is its own, `queue` the whole disk's queue folder."""

    name: str
    folder: Path
    queue: Path

    def attribute(self, name: str) -> str | None:
        """``queue/NAME`` of the disk, or None where the kernel has no such file."""
        return read_text(self.queue / name)

    def counters(self) -> DeviceCounters | None:
        """What the device has counted since it appeared; None when it keeps no counters."""
        fields = (read_text(self.folder / "stat") or "").split()
        if len(fields) < 11:
            return None
        reads, _, read_sectors, _, writes, _, write_sectors, _, _, busy_ms, _ = (
            int(field) for field in fields[:11]
        )
        sectors = read_sectors + write_sectors
        return DeviceCounters(reads + writes, sectors * _SECTOR, busy_ms / 1000)


@dataclass(frozen=True)
class DeviceCounters:
    """Commands and bytes that a device completed, and seconds in which it was busy."""

    commands: int
    moved: int
    busy: float


@dataclass(frozen=True)
class Mount:
    """The file system a file lies on."""

    kind: str
    options: str
    point: str
    source: str


def read_text(file: Path) -> str | None:
    """The stripped text of a small kernel file, or None when it cannot be read."""
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return None


def device_under(target: str) -> BlockDevice | None:
    """The block device that holds `target`, or is it; None where there is none to see."""
    try:
        info = os.stat(target)
    except OSError:
        return None
    if stat.S_ISBLK(info.st_mode):
        return device_of(info.st_rdev)
    return device_of(info.st_dev) or _device_of_source(info.st_dev)


def device_of(number: int) -> BlockDevice | None:
    """The block device with that number."""
    try:
        folder = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve(strict=True)
    except OSError:
        return None
    disk = folder.parent if (folder / "partition").exists() else folder
    return BlockDevice(folder.name, folder, disk / "queue")


def _device_of_source(number: int) -> BlockDevice | None:
    """File systems such as btrfs have a number of their own; the mount names the device."""
    mount = mount_of(number)
    if mount is None or not mount.source.startswith("/dev/"):
        return None
    try:
        return device_of(os.stat(mount.source).st_rdev)
    except OSError:
        return None


def mount_under(target: str) -> Mount | None:
    """The mount that `target` lies on; None for block devices and for what is no file."""
    try:
        info = os.stat(target)
    except OSError:
        return None
    return None if stat.S_ISBLK(info.st_mode) else mount_of(info.st_dev)


def mount_of(number: int) -> Mount | None:
    """The first mount of the file system with that device number."""
    wanted = f"{os.major(number)}:{os.minor(number)}"
    for line in (read_text(Path("/proc/self/mountinfo")) or "").splitlines():
        own, _, rest = line.partition(" - ")
        fields, filesystem = own.split(), rest.split()
        if len(fields) > 5 and fields[2] == wanted and len(filesystem) >= 2:
            options = ",".join(_unique(fields[5], filesystem[2] if len(filesystem) > 2 else ""))
            return Mount(filesystem[0], options, fields[4], filesystem[1])
    return None


def _unique(*lists: str) -> list[str]:
    words = [word for text in lists for word in text.split(",") if word]
    return list(dict.fromkeys(words))


def device_kind(device: BlockDevice) -> str:
    """What sort of device the name belongs to, in words."""
    kinds = (
        ("nvme", "NVMe drive"),
        ("vd", "virtio disk"),
        ("sd", "SCSI or SATA disk"),
        ("xvd", "Xen disk"),
        ("loop", "loop device"),
        ("zram", "compressed memory"),
        ("dm-", "mapped device"),
        ("md", "software RAID"),
        ("mmcblk", "flash card"),
        ("ram", "memory disk"),
        ("nbd", "network block device"),
        ("ublkb", "user-space device"),
    )
    return next((kind for prefix, kind in kinds if device.name.startswith(prefix)), "block device")
