"""The steps of a hand-over in sysfs, and what to wait for after them."""

from __future__ import annotations

import errno
import os
import time

from ringway.errors import error_of
from ringway.storage import read_text

from .host import Host
from .journal import Record
from .rules import VFIO, Wish, user_nodes
from .steps import Step
from .sysfs import Controller, read_controller

_PAUSE = 0.02
_NOIOMMU = "module/vfio/parameters/enable_unsafe_noiommu_mode"


def take_steps(host: Host, controller: Controller, driver: str, noiommu: bool) -> list[Step]:
    """From its driver to `driver`. ``bind`` tells why a driver refuses, ``drivers_probe`` not."""
    steps = []
    if noiommu:
        purpose = "switch on VFIO's mode without an IOMMU"
        steps.append(Step(host.sys / _NOIOMMU, "1", purpose))
    steps.append(_override(host, controller, driver))
    if controller.driver:
        steps.append(_unbind(host, controller, controller.driver))
    steps.append(_bind(host, controller, driver))
    return steps


def back_steps(host: Host, controller: Controller, record: Record, noiommu_off: bool) -> list[Step]:
    """From wherever it is to what the record says it was."""
    steps = []
    if controller.driver_override != record.override:
        steps.append(_override(host, controller, record.override))
    if controller.driver and controller.driver != record.original:
        steps.append(_unbind(host, controller, controller.driver))
    if record.original and controller.driver != record.original:
        steps.append(_bind(host, controller, record.original))
    if noiommu_off:
        purpose = "switch off VFIO's mode without an IOMMU"
        steps.append(Step(host.sys / _NOIOMMU, "0", purpose))
    return steps


def needs_noiommu(controller: Controller, wish: Wish) -> bool:
    """Whether VFIO's mode without an IOMMU is needed."""
    return wish.driver == VFIO and (controller.iommu_group is None or controller.noiommu)


def must_switch_noiommu(host: Host, controller: Controller, wish: Wish) -> bool:
    """Whether VFIO's mode without an IOMMU is needed and off.

    Raises `UnsupportedError` where the kernel has no such mode.
    """
    if not needs_noiommu(controller, wish):
        return False
    state = read_text(host.sys / _NOIOMMU)
    if state is None:
        raise error_of(
            -errno.EOPNOTSUPP,
            f"there is no IOMMU for {controller.pci}, and this kernel's VFIO cannot do without "
            "(CONFIG_VFIO_NOIOMMU is off): --driver uio_pci_generic can",
        )
    return state not in ("Y", "1")


def _override(host: Host, controller: Controller, driver: str | None) -> Step:
    file = host.devices / controller.pci / "driver_override"
    purpose = f"reserve {controller.pci} for {driver}" if driver else f"free {controller.pci}"
    # An empty line takes the override away.
    return Step(file, f"{driver or ''}\n", purpose)


def _unbind(host: Host, controller: Controller, driver: str) -> Step:
    file = host.drivers / driver / "unbind"
    return Step(file, controller.pci, f"unbind {controller.pci} from {driver}")


def _bind(host: Host, controller: Controller, driver: str) -> Step:
    file = host.drivers / driver / "bind"
    return Step(file, controller.pci, f"bind {controller.pci} to {driver}")


def wait_node(host: Host, address: str, timeout: float) -> str | None:
    """The node through which programs drive a controller; None when none is there in time."""
    end = time.monotonic() + timeout
    while True:
        if names := user_nodes(host, read_controller(host, address)):
            return str(host.node(names[0]))
        if time.monotonic() >= end:
            return None
        time.sleep(_PAUSE)


def give_node(host: Host, node: str, user: int, group: int) -> None:
    """Makes `user` the owner of a node, after udev has done what it does to new ones."""
    host.settle()
    try:
        os.chown(node, user, group)
    except OSError as error:
        code = error.errno or errno.EIO
        text = f"{node} could not be given to user {user}: {os.strerror(code)}"
        raise error_of(-code, text) from None


def wait_for_namespaces(host: Host, address: str, wanted: int, timeout: float) -> list[str]:
    """Waits until the kernel's driver shows `wanted` block devices; what to tell if it does not.

    Its ``bind`` returns before the controller is up, and namespaces follow later still.
    """
    end = time.monotonic() + timeout
    while True:
        now = read_controller(host, address)
        blocks = [space.block for space in now.namespaces if space.block]
        here = [name for name in blocks if host.node(name).exists()]
        if now.state == "live" and len(here) >= wanted:
            return []
        if now.state == "dead" or time.monotonic() >= end:
            return [
                f"the driver has it, but shows {len(here)} of {wanted} namespaces (its state is "
                f"{now.state or 'unknown'}): the kernel's log may say why (dmesg)"
            ]
        time.sleep(_PAUSE)
