"""What this machine is, as far as it decides what I/O paths can do: read from /proc and /sys.

Nothing here judges; `ringway.doctor` does.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import resource
import shutil
import stat
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from .storage import BlockDevice, device_under, read_text

PROC = Path("/proc")
SYS = Path("/sys")

_TRACEPOINT = "kernel/tracing/events/io_uring/io_uring_queue_async_work/id"
_HUGE_PAGES = "kernel/mm/hugepages/hugepages-2048kB"
_HUGE_PAGE = 2 << 20
#: Past the end of any file or device there is, with room below the largest offset.
_FAR_OFFSET = 1 << 60

CAP_IPC_LOCK = 14
CAP_SYS_ADMIN = 21
CAP_PERFMON = 38


class Disk(msgspec.Struct, frozen=True):
    """The block device under a target; None: the kernel does not say."""

    name: str
    scheduler: str | None = None
    #: The other schedulers it could have.
    schedulers: list[str] = []
    nr_requests: int | None = None
    poll_queues: bool = False
    rotational: bool = False


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about the machine and this process; sizes are bytes."""

    kernel: str
    #: CPUs this process may run on.
    cpus: int
    #: RLIMIT_MEMLOCK; None: unlimited.
    memlock: int | None
    #: Effective capabilities, one bit each.
    capabilities: int = 0
    huge_total: int = 0
    huge_free: int = 0
    #: kernel.io_uring_disabled; None: no such sysctl (before Linux 6.6).
    io_uring_disabled: int | None = None
    io_uring_group: int | None = None
    #: This process runs under a seccomp filter.
    seccomp: bool = False
    #: The tracepoint that counts punts can be read.
    tracepoint: bool = False
    perf_paranoid: int | None = None
    fio: str | None = None
    matplotlib: str | None = None
    #: Reads of the target can be asked not to wait; None: it is no file or device that opens.
    nowait: bool | None = None
    disk: Disk | None = None

    def can(self, capability: int) -> bool:
        return bool(self.capabilities >> capability & 1)

    @property
    def kernel_version(self) -> tuple[int, int]:
        numbers = re.match(r"(\d+)\.(\d+)", self.kernel)
        return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def read_machine(target: str | None, proc: Path = PROC, sys: Path = SYS) -> Machine:
    """The machine as it is now, and the storage under `target`, if that is a file or device."""
    device = device_under(target) if target else None
    status = read_text(proc / "self/status") or ""
    return Machine(
        kernel=platform.release(),
        cpus=len(os.sched_getaffinity(0)),
        memlock=_memlock(),
        capabilities=int(_status(status, "CapEff") or "0", 16),
        huge_total=(_number(sys / _HUGE_PAGES / "nr_hugepages") or 0) * _HUGE_PAGE,
        huge_free=(_number(sys / _HUGE_PAGES / "free_hugepages") or 0) * _HUGE_PAGE,
        io_uring_disabled=_number(proc / "sys/kernel/io_uring_disabled"),
        io_uring_group=_number(proc / "sys/kernel/io_uring_group"),
        seccomp=_status(status, "Seccomp") == "2",
        tracepoint=_number(sys / _TRACEPOINT) is not None,
        perf_paranoid=_number(proc / "sys/kernel/perf_event_paranoid"),
        fio=fio_version(),
        matplotlib=_package("matplotlib"),
        nowait=honours_nowait(target) if target else None,
        disk=read_disk(device) if device else None,
    )


def honours_nowait(target: str) -> bool | None:
    """Does the file or block device honour RWF_NOWAIT (preadv2(2))? Asked without any I/O.

    The kernel looks at the flag before it looks at the offset, so a read far past the end does.
    None for anything else, and for what cannot be opened.
    """
    try:
        if not _has_blocks(os.stat(target).st_mode):
            return None
        with open(target, "rb", buffering=0) as file:
            os.preadv(file.fileno(), [bytearray(1)], _FAR_OFFSET, os.RWF_NOWAIT)
    except OSError as error:
        answers = {errno.EOPNOTSUPP: False, errno.EAGAIN: True, errno.EINVAL: True}
        return answers.get(error.errno or 0)
    return True


def _has_blocks(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)


def read_disk(device: BlockDevice) -> Disk:
    """What sysfs says about the queue of this device."""
    listed = device.attribute("scheduler") or ""
    chosen = re.search(r"\[(.+?)\]", listed)
    requests = device.attribute("nr_requests") or ""
    return Disk(
        name=device.name,
        # Where there is no choice there are no brackets: "none".
        scheduler=chosen[1] if chosen else listed or None,
        schedulers=[word for word in listed.split() if not word.startswith("[")],
        nr_requests=int(requests) if requests.isdigit() else None,
        poll_queues=device.attribute("io_poll") == "1",
        rotational=device.attribute("rotational") == "1",
    )


def fio_version() -> str | None:
    """The installed fio's version, None where there is none that runs."""
    program = shutil.which("fio")
    if program is None:
        return None
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().removeprefix("fio-")


def _memlock() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return None if soft == resource.RLIM_INFINITY else soft


def _status(text: str, key: str) -> str | None:
    match = re.search(rf"^{key}:\s*(\S+)", text, re.MULTILINE)
    return match[1] if match else None


def _number(file: Path) -> int | None:
    text = read_text(file) or ""
    return int(text) if re.fullmatch(r"-?\d+", text) else None


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
