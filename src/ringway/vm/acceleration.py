"""KVM where it really runs a guest, emulation otherwise: found out by starting one.

/dev/kvm opening says little: there are hosts where it does and a stock kernel stops inside it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from .cache import cache_folder, keep
from .errors import UnavailableError
from .initramfs import Entry, archive, find_busybox
from .kernel import Kernel
from .process import mortal
from .qemu import Qemu

#: A guest that runs under KVM says so within a second, in seconds.
_PATIENCE = 8.0
_ALIVE = "ringway: alive"
_DEVICE = Path("/dev/kvm")
_INIT = f"""#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
echo "{_ALIVE}" >/dev/console
/bin/busybox poweroff -f
"""


@dataclass(frozen=True)
class Acceleration:
    """How QEMU runs the guest's instructions."""

    #: "kvm" or "tcg".
    name: str
    #: Why this one.
    why: str

    @property
    def emulated(self) -> bool:
        return self.name == "tcg"


class _Verdict(msgspec.Struct, frozen=True):
    """What starting a guest showed, and for which boot, QEMU and kernel."""

    boot: str
    subject: str
    refusal: str


def choose_acceleration(wanted: str, qemu: Qemu, kernel: Kernel) -> Acceleration:
    """wanted: "auto" takes KVM where a guest runs under it; "kvm" and "tcg" are taken as said."""
    if wanted != "auto":
        return Acceleration(wanted, "asked for by name")
    refusal = _kvm_refusal(qemu, kernel)
    if refusal:
        return Acceleration("tcg", refusal)
    return Acceleration("kvm", "a guest was started under it")


def known_refusal() -> str | None:
    """Why KVM cannot be used, "" where a guest ran under it, None where that was not tried yet."""
    refusal = _device_refusal()
    if refusal:
        return refusal
    verdict = _kept_verdict()
    return verdict.refusal if verdict and verdict.boot == _boot_id() else None


def _kvm_refusal(qemu: Qemu, kernel: Kernel) -> str:
    """Why KVM cannot be used, "" where it can."""
    if "kvm" not in qemu.accelerators:
        return f"{qemu.binary} was built without KVM"
    refusal = _device_refusal()
    if refusal:
        return refusal
    subject = f"{qemu.binary} {qemu.release} {kernel.image}"
    verdict = _kept_verdict()
    if verdict is None or (verdict.boot, verdict.subject) != (_boot_id(), subject):
        verdict = _Verdict(_boot_id(), subject, _try_kvm(qemu.binary, kernel))
        # Where it cannot be kept, the next machine finds out again.
        with suppress(UnavailableError):
            keep(verdict_file(), msgspec.json.encode(verdict))
    return verdict.refusal


def _device_refusal() -> str:
    if not _DEVICE.exists():
        return f"there is no {_DEVICE}"
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return f"no permission for {_DEVICE}: join the group kvm"
    return ""


def _boot_id() -> str:
    """What the host is may change with a boot: a nested one may have moved."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def verdict_file() -> Path:
    """Where the verdict is kept."""
    return cache_folder() / "kvm-verdict.json"


def _kept_verdict() -> _Verdict | None:
    try:
        return msgspec.json.decode(verdict_file().read_bytes(), type=_Verdict)
    except (OSError, msgspec.DecodeError):
        return None


def _try_kvm(qemu: Path, kernel: Kernel) -> str:
    """Starts a guest that says a word and ends."""
    entries = [
        Entry("bin"),
        Entry("dev"),
        Entry("bin/busybox", find_busybox().read_bytes(), True),
        Entry("init", _INIT.encode(), True),
    ]
    with open(os.memfd_create("initramfs"), "wb", buffering=0) as initramfs:
        initramfs.write(archive(entries))
        return _boots(_probe_command(qemu, kernel, initramfs.fileno()), initramfs.fileno())


def _probe_command(qemu: Path, kernel: Kernel, initramfs: int) -> list[str]:
    return [
        *(str(qemu), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "256M"),
        *("-kernel", str(kernel.image), "-initrd", f"/proc/self/fd/{initramfs}"),
        *("-append", "console=ttyS0 quiet panic=-1", "-serial", "stdio"),
    ]


def _boots(command: Sequence[str], fd: int) -> str:
    try:
        done = subprocess.run(
            mortal(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            pass_fds=[fd],
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode(errors="replace").strip()
        return f"KVM starts no guest here ({_first_line(said) or 'it stays silent'})"
    if _ALIVE in done.stdout.decode(errors="replace"):
        return ""
    said = done.stderr.decode(errors="replace").strip()
    return f"KVM starts no guest here ({_first_line(said) or f'exit {done.returncode}'})"


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""
