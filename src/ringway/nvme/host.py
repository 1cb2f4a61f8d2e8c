"""The machine as this package sees it: where its files are, and the few calls into the kernel.

Everything that looks at or changes the machine goes through a `Host`, so tests give it another
root, or answers of their own.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ringway.errors import error_of
from ringway.storage import read_text

from .steps import Step, carry_out

_UDEV_SECONDS = 5
_MODPROBE_SECONDS = 30


@dataclass(frozen=True)
class Host:
    """sysfs, procfs and the device nodes of one machine."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")

    @property
    def devices(self) -> Path:
        """The folder with one link per PCI device."""
        return self.sys / "bus/pci/devices"

    @property
    def drivers(self) -> Path:
        """The folder with one folder per loaded PCI driver."""
        return self.sys / "bus/pci/drivers"

    def node(self, name: str) -> Path:
        """The node of a device; sysfs writes '!' for a '/' in its name."""
        return self.dev / name.replace("!", "/")

    def boot(self) -> str:
        """What tells this boot of the machine from every other."""
        return read_text(self.proc / "sys/kernel/random/boot_id") or ""

    def carry_out(self, steps: list[Step], timeout: float, hold: int) -> None:
        """Writes the steps within `timeout` seconds; see `steps.carry_out`."""
        carry_out(steps, timeout, hold)

    def load(self, driver: str) -> str:
        """Loads the module of a driver; what went wrong, or nothing."""
        command = shutil.which("modprobe", path=os.defpath + ":/usr/sbin:/sbin")
        if command is None:
            return "there is no modprobe here"
        try:
            done = subprocess.run(
                [command, driver], capture_output=True, text=True, timeout=_MODPROBE_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"modprobe {driver}: {error}"
        said = " ".join(done.stderr.split())
        return f"modprobe {driver}: {said or done.returncode}" if done.returncode else ""

    def claim(self, name: str) -> int:
        """A descriptor with the exclusive claim on a block device, which mount and mkfs take too.

        Raises OSError: EBUSY where somebody else has it.
        """
        return os.open(self.node(name), os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC | os.O_NONBLOCK)

    def openable(self, node: Path) -> bool:
        """Whether nobody has the node of a VFIO group open: the kernel lets one at a time."""
        try:
            os.close(os.open(node, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            return error.errno != errno.EBUSY
        return True

    def settle(self) -> None:
        """Waits until udev has given new nodes their owners, so that it does not undo ours."""
        command = shutil.which("udevadm")
        if command and Path("/run/udev/control").exists():
            subprocess.run([command, "settle", f"--timeout={_UDEV_SECONDS}"], check=False)


_PCI = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])", re.IGNORECASE)


def pci_address(text: str) -> str:
    """The address as sysfs writes it; the domain may be left out. Raises `ArgumentError`."""
    found = _PCI.fullmatch(text.strip())
    if not found:
        raise error_of(
            -errno.EINVAL,
            f"{text!r} is no PCI address: write it as in 0000:01:00.0 ('ringway nvme list' "
            "shows those of the NVMe controllers)",
        )
    domain, bus, device, function = found.groups()
    return f"{domain or '0000'}:{bus}:{device}.{function}".lower()
