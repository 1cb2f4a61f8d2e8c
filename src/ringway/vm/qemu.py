"""QEMU as it is installed: where, which version, which devices with which options."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import ConfigError
from .drives import keyval
from .errors import UnavailableError
from .process import mortal

#: Names of the emulator: everybody's, then Red Hat's, which has no nvme device.
_BINARIES = ("qemu-system-x86_64", "/usr/libexec/qemu-kvm")
#: Devices whose options differ between versions and builds.
_DEVICES = (
    "nvme",
    "nvme-ns",
    "nvme-subsys",
    "pcie-root-port",
    "intel-iommu",
    "virtio-9p-pci",
    "virtio-serial-pci",
    "virtio-rng-pci",
)
#: The versions that options came with, for those that not every QEMU in use has.
_SINCE = {
    ("nvme", "dbcs"): "10.0",
    ("nvme", "ioeventfd"): "7.1",
    ("nvme", "sriov_max_vfs"): "7.1",
    ("nvme", "subsys"): "6.0",
    ("nvme", "pmrdev"): "5.0",
    ("nvme", "vsl"): "6.0",
    ("nvme-ns", "pif"): "7.0",
    ("nvme-ns", "fdp.ruhs"): "8.0",
    ("nvme-subsys", "fdp"): "8.0",
}
#: What -device has for all of them.
_GENERAL = {"id", "bus"}
#: A QEMU that answers at all does so in a tenth of a second.
_PATIENCE = 30.0


class TopologyError(ConfigError):
    """A topology that the installed QEMU cannot give; the text says why, and which one can."""


@dataclass(frozen=True)
class Qemu:
    """An emulator and what it has."""

    binary: Path
    version: tuple[int, int, int]
    #: Options of each device it has, of those that ringway uses.
    options: Mapping[str, frozenset[str]]
    #: Kinds of acceleration it was built with: tcg, kvm.
    accelerators: tuple[str, ...]

    @property
    def release(self) -> str:
        """The version as text: 7.2.22."""
        return ".".join(map(str, self.version))

    def offers(self, device: str, option: str) -> bool:
        return option in self.options.get(device, ())

    def device(self, where: str, kind: str, options: Mapping[str, Any]) -> str:
        """The argument of ``-device``.

        where: the part of the topology that asks for it. Raises TopologyError when this QEMU has no
        such device or option.
        """
        if kind not in self.options:
            raise TopologyError(
                f"{where}: {self.binary} ({self.release}) was built without the device {kind};"
                " install the distribution's full QEMU, on Debian qemu-system-x86"
            )
        for option in options:
            if option not in _GENERAL and not self.offers(kind, option):
                raise self.refusal(
                    f"{where}: device {kind} has no option {option}", _SINCE.get((kind, option))
                )
        return keyval(kind, options)

    def refusal(self, text: str, since: str | None) -> TopologyError:
        """An error for what this version lacks and a later one, if known which, has."""
        remedy = f"it takes QEMU {since}" if since else "it takes another version"
        return TopologyError(f"{text} in the installed QEMU {self.release}; {remedy}")


def find_qemu(binary: str | None = None) -> Qemu:
    """The QEMU called `binary`, or the first one there is, asked what it has.

    It takes a tenth of a second; keep the answer. Raises UnavailableError.
    """
    found = next(filter(None, map(shutil.which, [binary] if binary else _BINARIES)), None)
    if found is None:
        raise UnavailableError(
            f"there is no {binary or _BINARIES[0]}; install it, on Debian: apt-get install"
            " qemu-system-x86"
        )
    command = [
        *mortal([found]),
        "-machine",
        "none",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
    ]
    try:
        done = subprocess.run(
            [*command, "-qmp", "stdio"],
            input=probe_requests(),
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{found} cannot be asked for its version: {error}") from error
    try:
        return parse_probe(Path(found), done.stdout)
    except (ValueError, KeyError, StopIteration) as error:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise UnavailableError(f"{found} does not answer as QEMU does; it said: {said}") from error


def probe_requests() -> str:
    """What a QEMU is asked over QMP: its devices' options and how it can run a guest."""
    requests = [
        {"execute": "qmp_capabilities"},
        {"execute": "qom-list-types", "arguments": {"implements": "accel"}, "id": "accel"},
        *(
            {"execute": "device-list-properties", "arguments": {"typename": kind}, "id": kind}
            for kind in _DEVICES
        ),
        {"execute": "quit"},
    ]
    return "".join(json.dumps(request) + "\n" for request in requests)


def parse_probe(binary: Path, text: str) -> Qemu:
    """The answers to `probe_requests`. Raises ValueError, KeyError or StopIteration."""
    lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    version = next(line["QMP"] for line in lines if "QMP" in line)["version"]["qemu"]
    answers = {line["id"]: line["return"] for line in lines if "id" in line and "return" in line}
    kinds = {kind["name"].removesuffix("-accel") for kind in answers["accel"]}
    return Qemu(
        binary,
        (version["major"], version["minor"], version["micro"]),
        {
            kind: frozenset(option["name"] for option in answers[kind])
            for kind in _DEVICES
            if kind in answers
        },
        tuple(kind for kind in ("kvm", "tcg") if kind in kinds),
    )
