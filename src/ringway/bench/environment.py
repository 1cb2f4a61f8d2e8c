"""Where a figure was measured: a registry of facts, each with a type and a validity check.

A fact that cannot be read, has the wrong type or fails its check is left out: a wrong
environment is worse than a short one.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..storage import BlockDevice, device_kind, device_under, mount_under, read_text
from .record import Environment, Warning

Value = str | int | float | bool | list[str] | None

_CPU = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Fact:
    """One key of the environment: how it is called, read and checked."""

    key: str
    label: str
    kind: type
    read: Callable[[str], Value]
    valid: Callable[[Value], bool] = bool


def collect(target: str) -> Environment:
    """All facts about this machine and the storage under `target` that hold."""
    found: Environment = {}
    for fact in FACTS:
        value = _read(fact, target)
        if value is not None:
            found[fact.key] = value
    return found


def _read(fact: Fact, target: str) -> Value:
    try:
        value = fact.read(target)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    exact = isinstance(value, fact.kind) and (fact.kind is bool or not isinstance(value, bool))
    return value if exact and (fact.kind is bool or fact.valid(value)) else None


def label(key: str) -> str:
    """The key in words."""
    return next((fact.label for fact in FACTS if fact.key == key), key)


def check(environment: Environment) -> list[Warning]:
    """What about this machine makes its figures hard to trust."""
    warnings: list[Warning] = []
    cpus, load = environment.get("cpus"), environment.get("load_average")
    if isinstance(cpus, int) and isinstance(load, float) and load > cpus / 2:
        warnings.append(
            Warning(
                "busy-machine",
                f"the load average was {load:.1f} on {cpus} CPUs before the first run",
                "stop other work and measure again",
            )
        )
    if environment.get("machine") == "emulated":
        warnings.append(
            Warning(
                "emulated",
                "this machine is emulated: times show how many instructions a path needs, "
                "not hardware",
                "compare only with other emulated runs; measure on hardware before deciding",
            )
        )
    if environment.get("governor") in ("powersave", "ondemand", "conservative"):
        warnings.append(
            Warning(
                "governor",
                f"the CPU governor is {environment['governor']}: the clock follows the load",
                "set it to performance: cpupower frequency-set -g performance",
            )
        )
    return warnings


# ---------------------------------------------------------------- machine


def _cpu_model(_: str) -> Value:
    text = read_text(Path("/proc/cpuinfo")) or ""
    match = re.search(r"^(?:model name|Model|Processor)\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1] if match else platform.machine()


@cache
def machine_kind() -> str:
    """``native``, ``virtual`` (hardware virtualisation) or ``emulated`` (a guest without it)."""
    text = read_text(Path("/proc/cpuinfo")) or ""
    product = read_text(Path("/sys/class/dmi/id/product_name")) or ""
    if " hypervisor" not in text and "QEMU" not in product:
        return "native"
    return "emulated" if _is_emulated(text, product) else "virtual"


def _is_emulated(cpuinfo: str, product: str) -> bool:
    """QEMU without KVM says TCG, or is QEMU and offers no clock of a hypervisor."""
    if "TCG" in cpuinfo:
        return True
    clocks = (
        read_text(Path("/sys/devices/system/clocksource/clocksource0/available_clocksource")) or ""
    )
    accelerated = any(word in clocks for word in ("kvm", "hyperv", "xen"))
    return "QEMU" in cpuinfo + product and not accelerated


def _governor(_: str) -> Value:
    return read_text(_CPU / "cpu0/cpufreq/scaling_governor")


def _mitigations(_: str) -> Value:
    """The vulnerabilities for which the kernel does something, and what it does."""
    found = []
    for file in sorted((_CPU / "vulnerabilities").glob("*")):
        state = read_text(file) or ""
        if not state.startswith("Not affected"):
            found.append(f"{file.name}: {state}")
    return found


def _threads_per_core(_: str) -> Value:
    siblings = read_text(_CPU / "cpu0/topology/thread_siblings_list")
    return len(re.findall(r"\d+", siblings)) if siblings and "-" not in siblings else None


# ---------------------------------------------------------------- storage


def _queue(name: str) -> Callable[[str], Value]:
    def read(target: str) -> Value:
        device = device_under(target)
        return device.attribute(name) if device else None

    return read


def _queue_number(name: str) -> Callable[[str], Value]:
    def read(target: str) -> Value:
        text = _queue(name)(target)
        return int(text) if isinstance(text, str) else None

    return read


def _scheduler(target: str) -> Value:
    text = _queue("scheduler")(target)
    chosen = re.search(r"\[(.+?)\]", text) if isinstance(text, str) else None
    return chosen[1] if chosen else text


def _device(describe: Callable[[BlockDevice], Value]) -> Callable[[str], Value]:
    def read(target: str) -> Value:
        device = device_under(target)
        return describe(device) if device else None

    return read


def _model(device: BlockDevice) -> Value:
    return read_text(device.queue.parent / "device" / "model")


def _size(device: BlockDevice) -> Value:
    return int(read_text(device.folder / "size") or 0) * 512


def _filesystem(target: str) -> Value:
    mount = mount_under(target)
    return mount.kind if mount else None


def _mount_options(target: str) -> Value:
    mount = mount_under(target)
    return mount.options.split(",") if mount else None


# ---------------------------------------------------------------- versions


def _package(name: str) -> Callable[[str], Value]:
    def read(_: str) -> Value:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return read


def _liburing(_: str) -> Value:
    """From the name of the library that is mapped; the library does not tell it itself."""
    maps = read_text(Path("/proc/self/maps")) or ""
    match = re.search(r"\S*/liburing\.so\S*", maps)
    if match is None:
        return None
    number = re.search(r"liburing\.so\.(\d[\d.]*)", os.path.realpath(match[0]))
    return number[1] if number else None


def _fio(_: str) -> Value:
    program = shutil.which("fio")
    if program is None:
        return None
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)
    return answer.stdout.strip().removeprefix("fio-")


FACTS: tuple[Fact, ...] = (
    Fact("kernel", "Kernel", str, lambda _: platform.release()),
    Fact("architecture", "Architecture", str, lambda _: platform.machine()),
    Fact(
        "distribution",
        "Distribution",
        str,
        lambda _: platform.freedesktop_os_release().get("PRETTY_NAME"),
    ),
    Fact("cpu", "CPU", str, _cpu_model),
    Fact("cpus", "CPUs usable", int, lambda _: len(os.sched_getaffinity(0))),
    Fact("threads_per_core", "Threads per core", int, _threads_per_core),
    Fact("governor", "CPU governor", str, _governor),
    Fact("mitigations", "Mitigations", list, _mitigations, lambda value: value is not None),
    Fact("machine", "Machine", str, lambda _: machine_kind()),
    Fact(
        "clock",
        "Clock source",
        str,
        lambda _: read_text(
            Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        ),
    ),
    Fact(
        "memory", "Memory", int, lambda _: os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    ),
    Fact(
        "load_average",
        "Load before",
        float,
        lambda _: os.getloadavg()[0],
        lambda value: value is not None,
    ),
    Fact("device", "Block device", str, _device(lambda device: device.name)),
    Fact("device_kind", "Kind of device", str, _device(device_kind)),
    Fact("device_model", "Device model", str, _device(_model)),
    Fact("device_size", "Device size", int, _device(_size)),
    Fact("scheduler", "I/O scheduler", str, _scheduler),
    Fact("nr_requests", "Requests per queue", int, _queue_number("nr_requests")),
    Fact("max_sectors_kb", "Largest request (KiB)", int, _queue_number("max_sectors_kb")),
    Fact("logical_block_size", "Logical block", int, _queue_number("logical_block_size")),
    Fact(
        "rotational",
        "Rotational",
        bool,
        lambda target: {"1": True, "0": False}.get(str(_queue("rotational")(target))),
    ),
    Fact("write_cache", "Write cache", str, _queue("write_cache")),
    Fact(
        "io_poll",
        "Poll queues",
        bool,
        lambda target: {"1": True, "0": False}.get(str(_queue("io_poll")(target))),
    ),
    Fact("filesystem", "File system", str, _filesystem),
    Fact("mount_options", "Mount options", list, _mount_options),
    Fact("ringway", "ringway", str, _package("ringway")),
    Fact("liburing", "liburing", str, _liburing),
    Fact("fio", "fio", str, _fio),
    Fact("python", "Python", str, lambda _: platform.python_version()),
    Fact("numpy", "numpy", str, _package("numpy")),
)
