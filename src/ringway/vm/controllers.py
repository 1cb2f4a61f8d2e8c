"""Controllers, namespaces and subsystems as devices of QEMU's, each at a PCI address known before.

Every controller sits alone behind a root port of its own, since only such ones can be unplugged on
q35. Firmware numbers the buses behind the root ports in the order of their slots, from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .controller import Controller, Fdp
from .drives import drive_arguments
from .namespace import Namespace
from .qemu import Qemu
from .record import MIB
from .topology import Topology

#: Slot of the first root port on pcie.0.
FIRST_SLOT = 0x08


def controller_addresses(topology: Topology) -> dict[str, str]:
    """The PCI address of every controller in the guest, by name, in the topology's order."""
    return {
        controller.name: f"0000:{number:02x}:00.0"
        for number, controller in enumerate(topology.controllers, start=1)
    }


def driver_overrides(topology: Topology) -> dict[str, str]:
    """PCI addresses that the guest's nvme driver must not take, with the driver to use: or "none".

    Written to ``driver_override`` in sysfs before the driver is loaded, it leaves them alone.
    """
    addresses = controller_addresses(topology)
    return {
        addresses[controller.name]: controller.driver
        for controller in topology.controllers
        if controller.driver != "nvme"
    }


def nvme_arguments(topology: Topology, qemu: Qemu, files: Mapping[str, str]) -> list[str]:
    """Everything NVMe in a topology.

    files: see drives.drive_arguments. Raises TopologyError for what this QEMU does not have.
    """
    arguments: list[str] = []
    for subsystem in topology.subsystems:
        options = {"id": subsystem.name, "nqn": subsystem.name, **_placement(subsystem.fdp)}
        where = f"subsystem {subsystem.name}"
        arguments += ["-device", qemu.device(where, "nvme-subsys", options)]
    for number, controller in enumerate(topology.controllers):
        arguments += _controller(controller, number, qemu)
        for drive, space in zip(controller.drives, controller.namespaces, strict=True):
            arguments += drive_arguments(drive, space, files)
            options = {"id": drive, "bus": controller.name, "drive": drive, "nsid": space.nsid}
            options |= dict(_format(space))
            if controller.subsystem or controller.sriov:
                options["shared"] = space.shared
            arguments += ["-device", qemu.device(f"namespace {drive}", "nvme-ns", options)]
    return arguments


def _placement(fdp: Fdp | None) -> dict[str, Any]:
    if fdp is None:
        return {}
    return {
        "fdp": True,
        "fdp.runs": int(fdp.unit),
        "fdp.nrg": fdp.groups,
        "fdp.nruh": fdp.handles,
    }


def _controller(controller: Controller, number: int, qemu: Qemu) -> Iterator[str]:
    """The root port, the controller in it, and what it needs to be there first."""
    name = controller.name
    where = f"controller {name}"
    options: dict[str, Any] = {"id": name, "bus": f"{name}-port", "addr": "00.0"}
    subsystem = controller.subsystem
    if controller.sriov and not subsystem:
        subsystem = f"{name}-subsys"
        identity = {"id": subsystem, "nqn": subsystem}
        yield from ("-device", qemu.device(where, "nvme-subsys", identity))
    port = {"id": f"{name}-port", "bus": "pcie.0", "addr": f"{FIRST_SLOT + number:02x}.0"}
    port |= {"chassis": str(number + 1), "slot": str(number + 1)}
    yield from ("-device", qemu.device(where, "pcie-root-port", port))
    if controller.pmr:
        memory = f"memory-backend-ram,id={name}-pmr,size={controller.pmr // MIB}M"
        yield from ("-object", memory)
        options["pmrdev"] = f"{name}-pmr"
    if subsystem:
        options["subsys"] = subsystem
    options |= dict(_queues(controller)) | dict(_features(controller, qemu, where))
    yield from ("-device", qemu.device(where, "nvme", options))


def _queues(controller: Controller) -> Iterator[tuple[str, Any]]:
    """Queues and vectors. With SR-IOV QEMU counts those that are shared out among all."""
    sriov = controller.sriov
    queues = controller.queues + (sriov.shared_queues if sriov else 0)
    vectors = controller.queues + 1 + (sriov.shared_vectors if sriov else 0)
    yield "serial", controller.serial
    yield "max_ioqpairs", queues
    yield "msix_qsize", vectors
    if sriov:
        yield "sriov_max_vfs", sriov.vfs
        yield "sriov_vq_flexible", sriov.shared_queues
        yield "sriov_vi_flexible", sriov.shared_vectors
        yield "sriov_max_vq_per_vf", sriov.queues + 1
        yield "sriov_max_vi_per_vf", sriov.vectors


def _features(controller: Controller, qemu: Qemu, where: str) -> Iterator[tuple[str, Any]]:
    yield "mdts", controller.mdts
    yield "aerl", controller.aerl
    if controller.zasl is not None:
        yield "zoned.zasl", controller.zasl
    if controller.vsl is not None:
        yield "vsl", controller.vsl
    if controller.ioeventfd:
        yield "ioeventfd", True
    if controller.cmb:
        yield "cmb_size_mb", controller.cmb // MIB
    if controller.shadow_doorbells is not None:
        yield from _doorbells(controller.shadow_doorbells, qemu, where)


def _doorbells(wanted: bool, qemu: Qemu, where: str) -> Iterator[tuple[str, Any]]:
    """Only newer versions let one choose; before, a version has shadow doorbells or not."""
    if qemu.offers("nvme", "dbcs"):
        yield "dbcs", wanted
    elif wanted and qemu.version < (7, 1):
        raise qemu.refusal(f"{where}: shadow doorbells are not there", "7.1")
    elif not wanted and qemu.version >= (7, 1):
        raise qemu.refusal(f"{where}: shadow doorbells cannot be switched off", "10.0")


def _format(space: Namespace) -> Iterator[tuple[str, Any]]:
    yield "logical_block_size", space.lba
    yield "physical_block_size", space.lba
    if space.metadata:
        yield "ms", space.metadata
        yield "mset", int(space.extended)
    if space.protection:
        yield "pi", space.protection
        yield "pil", int(space.protection_first)
        if space.guard == 64:
            yield "pif", 2
    if space.zones:
        yield "zoned", True
        yield "zoned.zone_size", int(space.zones.size)
        yield "zoned.zone_capacity", int(space.zones.capacity or space.zones.size)
        yield "zoned.max_open", space.zones.max_open
        yield "zoned.max_active", space.zones.max_active
    if space.handles:
        yield "fdp.ruhs", ";".join(map(str, space.handles))
