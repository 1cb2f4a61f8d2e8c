"""What a machine is started with: archive, files for its drives, shares, QEMU's arguments."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .commandline import Boot, Port, Setup, Share, arguments, backend
from .controllers import driver_overrides
from .drives import storage
from .host import Host
from .initramfs import Errand, initramfs
from .job import Job, check
from .modules import BASE, IOMMU, Modules
from .topology import Topology
from .wiring import Wiring

#: A guest that nobody attacks, on a clock that emulation must not be measured by first.
_WORDS = (
    "console=ttyS0",
    "quiet",
    "panic=-1",
    # What goes on after an oops goes on wrongly, or hangs.
    "oops=panic",
    "nokaslr",
    "mitigations=off",
    "tsc=reliable",
    "no_timer_check",
)


class Prepared:
    """QEMU's arguments, and the open files that they name as /proc/self/fd/N.

    A context manager: QEMU inherits the files, and ours are closed at its end.
    """

    def __init__(self, host: Host, job: Job, wiring: Wiring, console: int, mark: str) -> None:
        check(job)
        job = replace(job, topology=topology_on(host, job.topology))
        self._files: list[int] = []
        self._errand = _errand(host, job, mark)
        try:
            self.arguments = [str(host.qemu.binary), *self._arguments(host, job, wiring, console)]
        except BaseException:
            self.close()
            raise
        self.fds = [*wiring.fds(), *self._files, console]

    def __enter__(self) -> Prepared:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _arguments(self, host: Host, job: Job, wiring: Wiring, console: int) -> list[str]:
        archive = self._memory("initramfs", initramfs(self._errand))
        ports = wiring.chardevs().items()
        setup = Setup(
            accelerator=host.acceleration.name,
            count_instructions=host.count_instructions,
            boot=Boot(host.kernel.image, Path(archive), _WORDS),
            shares=list(_shares(job)),
            ports=[Port(f"ringway.{name}", chardev) for name, chardev in ports],
            console=backend("file", path=f"/proc/self/fd/{console}", append=True),
            monitor=wiring.monitor_chardev(),
            files=dict(self._drives(job.topology)),
        )
        return arguments(job.topology, host.qemu, setup)

    def _drives(self, topology: Topology) -> Iterator[tuple[str, str]]:
        for item in storage(topology):
            if item.backing == "memory":
                name = self._memory(item.drive)
            else:
                name = self._keep(_nameless_file())
            os.truncate(self._files[-1], item.size)
            yield item.drive, name

    def _memory(self, name: str, content: bytes = b"") -> str:
        shown = self._keep(os.memfd_create(name))
        with open(self._files[-1], "wb", closefd=False) as file:
            file.write(content)
        return shown

    def _keep(self, fd: int) -> str:
        self._files.append(fd)
        return f"/proc/self/fd/{fd}"

    def close(self) -> None:
        """Once QEMU has its own, or there will be none."""
        for fd in self._files:
            os.close(fd)
        self._files.clear()


def topology_on(host: Host, topology: Topology) -> Topology:
    """The topology as it is started: a machine that counts instructions has one CPU."""
    return topology.on_one_cpu() if host.count_instructions else topology


def _nameless_file() -> int:
    """A file in the temporary folder that goes with its last user."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _shares(job: Job) -> Iterator[Share]:
    yield Share("host", Path("/"))
    for number, folder in enumerate(job.results):
        yield Share(f"results{number}", folder, read_only=False)


# ------------------------------------------------------------ the guest's errand


def _errand(host: Host, job: Job, mark: str) -> Errand:
    modules = Modules(host.kernel)
    modules.require(_purposes(job.topology), IOMMU if job.topology.machine.iommu else {})
    names = [*_purposes(job.topology), *job.topology.machine.modules]
    return Errand(
        modules=[
            (name, content, _parameters(name, job.topology))
            for name, content in modules.closure(names)
        ],
        command=job.command,
        directory=job.directory,
        environment=job.environment,
        settings=_settings(host, job, mark),
    )


def _purposes(topology: Topology) -> dict[str, str]:
    """The modules that a machine of this topology cannot do without, and what for."""
    purposes = {**BASE, "nvme": "NVMe drives"}
    if topology.machine.iommu:
        purposes |= {"vfio_pci": "VFIO", "vfio_iommu_type1": "VFIO"}
    if topology.null_blk:
        purposes |= {"null_blk": "the topology's null_blk devices"}
    return purposes


def _parameters(module: str, topology: Topology) -> tuple[str, ...]:
    given = topology.machine.module_arguments(module)
    # Devices of null_blk are made one by one.
    return ("nr_devices=0", *given) if module == "null_blk" else given


def _settings(host: Host, job: Job, mark: str) -> dict[str, str]:
    """Shell variables for guest/init and guest/start, which say what they are."""
    topology = job.topology
    overrides = driver_overrides(topology).items()
    results = enumerate(job.results)
    null_block = enumerate(device.attributes() for device in topology.null_blk)
    return {
        "END_MARK": mark,
        "MODULES": str(host.kernel.modules),
        "DRIVERS": _lines(f"{address} {driver}" for address, driver in overrides),
        "RESULTS": _lines(f"results{number} {folder}" for number, folder in results),
        "NULL_BLOCK": _lines(
            " ".join([f"nullb{number}", *(f"{key}={value}" for key, value in attributes.items())])
            for number, attributes in null_block
        ),
        "NAMESPACES": str(_expected(topology)),
    }


def _lines(lines: Iterator[str]) -> str:
    return "\n".join(lines)


def _expected(topology: Topology) -> int:
    """Namespaces that the kernel's driver will show, at least."""
    return sum(
        len(controller.namespaces)
        for controller in topology.controllers
        if controller.driver == "nvme"
    )
