"""What about a machine helps or hinders its I/O paths: facts in, findings out, no I/O.

The facts are a `ringway.machine.Machine`; each finding says what to do where something is
missing. `ringway.doctor` shows them beside what the paths themselves say.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .machine import CAP_IPC_LOCK, CAP_PERFMON, CAP_SYS_ADMIN, Machine

#: `Finding.path` of what concerns the machine rather than one path.
MACHINE = "machine"

_MIB = 1 << 20
#: The smallest memory region of the core: what registering one buffer locks.
_REGION = 16 * _MIB
#: The deepest queue the comparison asks for, with room for a second one.
_WANTED_REQUESTS = 64

#: What the paths over io_uring and their options need, oldest first.
_FEATURES: tuple[tuple[tuple[int, int], str], ...] = (
    ((5, 11), "io_uring with deadlines"),
    ((5, 13), "sqpoll without privilege"),
    ((5, 19), "fixed, io_uring_cmd"),
    ((6, 1), "defer"),
)


class Finding(msgspec.Struct, frozen=True):
    """One thing examined.

    `path` is a path's name, or "machine"; `options` the mode or option that was probed, or the
    topic. `usable` is False where something does not work or costs much; `reason` says what was
    found, `advice` what to do ("" where the reason says it, or nothing is to be done).
    """

    path: str
    options: str
    usable: bool
    reason: str
    advice: str = ""


def examine_machine(machine: Machine, refusal: str | None) -> list[Finding]:
    """All findings about a machine; `refusal` is the core's word on creating a ring, if any."""
    return [ring_policy(machine, refusal)] + [judge(machine) for judge in _JUDGES]


def _found(topic: str, usable: bool, reason: str, advice: str = "") -> Finding:
    return Finding(MACHINE, topic, usable, reason, advice)


def ring_policy(machine: Machine, refusal: str | None) -> Finding:
    """May this process create a ring: the sysctl, its group, the seccomp filter."""
    if refusal is not None:
        return _found("io_uring", False, refusal)
    disabled, group = machine.io_uring_disabled, machine.io_uring_group
    sysctl = (
        "there is no sysctl against it"
        if disabled is None
        else (f"the sysctl kernel.io_uring_disabled is {disabled}")
    )
    if disabled == 1 and group is not None and group >= 0:
        sysctl += f" with group {group}"
    seccomp = "the seccomp filter lets it pass" if machine.seccomp else "no seccomp filter"
    return _found("io_uring", True, f"allowed: {sysctl}, {seccomp}")


def kernel(machine: Machine) -> Finding:
    """The kernel against what io_uring options need."""
    lacking = [
        f"{feature} ({major}.{minor})"
        for (major, minor), feature in _FEATURES
        if machine.kernel_version < (major, minor)
    ]
    if not lacking:
        return _found("kernel", True, f"Linux {machine.kernel} has every feature used")
    return _found(
        "kernel",
        False,
        f"Linux {machine.kernel} is too old for {', '.join(lacking)}",
        f"upgrade to Linux {'.'.join(map(str, _FEATURES[-1][0]))} or newer, or leave these out",
    )


def cpus(machine: Machine) -> Finding:
    """SQPOLL keeps a CPU to itself; without a spare one it takes turns with the caller."""
    if machine.cpus > 1:
        return _found(
            "CPUs", True, f"{machine.cpus} usable; every sqpoll queue keeps one of them busy"
        )
    return _found(
        "CPUs",
        False,
        "one usable CPU: sqpoll's kernel thread would take turns with the caller and collapse",
        "leave sqpoll out, or allow this process more CPUs (taskset, cpuset)",
    )


def locked_memory(machine: Machine) -> Finding:
    """The limit that registered buffers count against, unless CAP_IPC_LOCK lifts it."""
    if machine.can(CAP_IPC_LOCK):
        return _found("locked memory", True, "not limited: this process has CAP_IPC_LOCK")
    if machine.memlock is None:
        return _found("locked memory", True, "not limited (ulimit -l unlimited)")
    limit = f"{machine.memlock / _MIB:g} MiB may be locked"
    if machine.memlock >= _REGION:
        return _found("locked memory", True, f"{limit}; registered buffers count against it")
    return _found(
        "locked memory",
        False,
        f"{limit}, registering buffers takes {_REGION // _MIB} MiB at least",
        "raise it: ulimit -l, LimitMEMLOCK= in a unit, docker run --ulimit memlock=-1",
    )


def huge_pages(machine: Machine) -> Finding:
    """Buffers lie on huge pages when enough of them are free."""
    state = f"{machine.huge_free // _MIB} of {machine.huge_total // _MIB} MiB free"
    if machine.huge_free >= _REGION:
        return _found("huge pages", True, f"{state}; buffers will lie on them")
    return _found(
        "huge pages",
        False,
        f"{state}, one memory region takes {_REGION // _MIB} MiB: buffers lie on ordinary pages",
        "sysctl -w vm.nr_hugepages=64 sets 128 MiB aside",
    )


def poll_queues(machine: Machine) -> Finding:
    """iopoll polls queues that the driver must have been told to keep for it."""
    disk = machine.disk
    if disk is None:
        return _found("poll queues", False, "no block device under the target", "leave iopoll out")
    if disk.poll_queues:
        return _found("poll queues", True, f"{disk.name} has some: iopoll can be used")
    return _found(
        "poll queues",
        False,
        f"{disk.name} has none: iopoll has nothing to poll",
        _poll_queue_advice(disk.name),
    )


def _poll_queue_advice(disk: str) -> str:
    drivers = {"nvme": "nvme", "vd": "virtio_blk", "nullb": "null_blk"}
    for prefix, module in drivers.items():
        if disk.startswith(prefix):
            return f"load {module} with poll_queues=2 (kernel command line: {module}.poll_queues=2)"
    return "leave iopoll out: this driver has no poll queues"


def scheduler(machine: Machine) -> Finding:
    """An I/O scheduler costs CPU for every request of a fast device."""
    disk = machine.disk
    if disk is None or disk.scheduler is None:
        return _found("scheduler", True, "none to set under the target")
    reason = f"{disk.name} uses {disk.scheduler}"
    if disk.scheduler == "none" or "none" not in disk.schedulers:
        return _found("scheduler", True, reason)
    return _found(
        "scheduler",
        True,
        f"{reason}, which costs CPU for every request",
        f"to compare paths: echo none > /sys/block/{disk.name}/queue/scheduler",
    )


def requests(machine: Machine) -> Finding:
    """Beyond nr_requests in flight, submission itself blocks."""
    disk = machine.disk
    if disk is None or disk.nr_requests is None:
        return _found("queue depth", True, "no limit on requests in flight is known")
    reason = f"{disk.name} takes {disk.nr_requests} requests before submission blocks"
    if disk.nr_requests >= _WANTED_REQUESTS:
        return _found("queue depth", True, f"{reason}: keep depth times threads below")
    return _found(
        "queue depth",
        False,
        reason,
        f"echo 256 > /sys/block/{disk.name}/queue/nr_requests, or stay below that depth",
    )


def punts(machine: Machine) -> Finding:
    """Counting requests that io_uring hands to workers takes a tracepoint and perf events."""
    admin = machine.can(CAP_SYS_ADMIN)
    perf = (
        admin
        or machine.can(CAP_PERFMON)
        or (machine.perf_paranoid is not None and machine.perf_paranoid < 0)
    )
    # An administrator's process looks into tracefs whether it is mounted or not.
    if perf and (machine.tracepoint or admin):
        return _found("punts", True, "requests that io_uring hands to workers can be counted")
    missing = "tracefs cannot be read" if perf else "perf events are not permitted"
    return _found(
        "punts",
        False,
        f"requests that io_uring hands to workers cannot be counted: {missing}",
        "run as root, or with CAP_PERFMON and a readable /sys/kernel/tracing",
    )


def waiting(machine: Machine) -> Finding:
    """What cannot be asked not to wait is handed to a worker by io_uring, request by request."""
    if machine.nowait is None:
        return _found("waiting", True, "not asked: the target is no file or device that opens")
    if machine.nowait:
        return _found("waiting", True, "io_uring can issue requests without a worker")
    return _found(
        "waiting",
        False,
        "this target does not know RWF_NOWAIT: io_uring hands every request to a worker",
        "at depth 1 use posix; at more, compare with libaio",
    )


def fio(machine: Machine) -> Finding:
    """The referee of a comparison."""
    if machine.fio is not None:
        return _found("fio", True, f"fio {machine.fio}")
    return _found(
        "fio",
        False,
        "fio is not installed: a comparison has no referee",
        "install it (Debian: apt-get install fio)",
    )


def matplotlib(machine: Machine) -> Finding:
    """The plotting extra."""
    if machine.matplotlib is not None:
        return _found("matplotlib", True, f"matplotlib {machine.matplotlib}")
    return _found(
        "matplotlib",
        False,
        "matplotlib is not installed: pictures of a comparison need it",
        "pip install 'ringway[plot]'",
    )


_JUDGES: tuple[Callable[[Machine], Finding], ...] = (
    kernel,
    cpus,
    locked_memory,
    huge_pages,
    poll_queues,
    scheduler,
    requests,
    waiting,
    punts,
    fio,
    matplotlib,
)
