"""What this host has for machines with emulated drives; the doctor shows it. Nothing is started."""

from __future__ import annotations

import os
import shutil

from ..checkup import Finding
from .acceleration import known_refusal, verdict_file
from .distribution import kept_kernel
from .errors import UnavailableError
from .initramfs import find_busybox
from .kernel import VARIABLE, host_image
from .qemu import find_qemu

#: `Finding.path` of what concerns the machine that ``ringway vm`` starts.
VM = "vm"


def examine_vm() -> list[Finding]:
    """QEMU, busybox, a kernel, KVM."""
    try:
        return [_qemu(), _busybox(), _kernel(), _acceleration()]
    except UnavailableError as error:
        return [_found("cache", False, str(error))]


def _found(topic: str, usable: bool, reason: str, advice: str = "") -> Finding:
    return Finding(VM, topic, usable, reason, advice)


def _qemu() -> Finding:
    try:
        qemu = find_qemu()
    except UnavailableError as error:
        return _found("QEMU", False, str(error))
    return _found("QEMU", True, f"QEMU {qemu.release}")


def _busybox() -> Finding:
    try:
        find_busybox()
    except UnavailableError as error:
        return _found("busybox", False, str(error))
    return _found("busybox", True, "a static one, which starts the machine")


def _kernel() -> Finding:
    kept = kept_kernel()
    host = host_image()
    if kept is not None:
        return _found("kernel", True, f"the distribution's is in the cache: {kept.name}")
    if shutil.which("apt-get"):
        return _found("kernel", True, "the distribution's, downloaded at first use (70 MB)")
    if os.access(host, os.R_OK):
        return _found("kernel", True, f"the host's own, {host}")
    return _found(
        "kernel",
        False,
        f"there is no apt-get, and {host} cannot be read",
        f"name a kernel with --kernel or {VARIABLE}",
    )


def _acceleration() -> Finding:
    refusal = known_refusal()
    if refusal is None:
        return _found("KVM", True, "not tried yet: the first machine finds out")
    if refusal:
        advice = f"machines are emulated; delete {verdict_file()} to have KVM tried again"
        return _found("KVM", False, refusal, advice)
    return _found("KVM", True, "a guest runs under it")
