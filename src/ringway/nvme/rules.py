"""Whether a controller may be taken from its driver: every reason against it, in words.

Each rule looks at one thing and gives what stands against the binding; together they see all that
can be known without claiming anything.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

import msgspec

from ringway.errors import error_of
from ringway.storage import read_text

from .descriptors import Opened, driving, having
from .host import Host
from .inuse import Use, uses_of
from .sysfs import NVME_CLASS, Controller, addresses, class_of

KERNEL_DRIVER = "nvme"
VFIO = "vfio-pci"
UIO = "uio_pci_generic"
#: Drivers that hand a device to a program.
DRIVERS = (VFIO, UIO)

#: What may drive the other devices of a group: vfio_dev_viable() in the kernel.
_HARMLESS = {None, "vfio-pci", "pci-stub"}

UNPROTECTED = (
    "a program that drives it can read and write all memory of this machine, whatever the "
    "program's rights"
)


class Hindrance(msgspec.Struct, frozen=True):
    """One reason why a controller cannot be bound, with what to do about it."""

    code: int
    text: str


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to do with a controller."""

    driver: str = VFIO
    unsafe_no_iommu: bool = False
    #: The user who shall own the node of the group; None: leave it root's.
    owner: int | None = None


def require(host: Host, address: str) -> None:
    """Raises `NotFoundError` or `ArgumentError` unless an NVMe controller is there."""
    found = class_of(host, address)
    if found == NVME_CLASS:
        return
    known = ", ".join(addresses(host)) or "none"
    if found is None:
        raise error_of(
            -errno.ENOENT,
            f"there is no PCI device {address}; NVMe controllers here: {known}",
        )
    raise error_of(
        -errno.EINVAL,
        f"{address} is no NVMe controller (class {found}, not {NVME_CLASS}); those here: {known}",
    )


def hindrances(
    host: Host, controller: Controller, wish: Wish, opened: list[Opened], uses: list[Use]
) -> list[Hindrance]:
    """Everything that stands against it, the gravest first. Empty: it may be bound."""
    return [
        *_uses(uses),
        *_functions(controller),
        *_driver(controller),
        *_protection(host, controller, wish),
        *_handing_on(controller, wish),
        *_group(controller),
        *open_by_programs(host, controller, opened),
    ]


def examine(
    host: Host, controller: Controller, wish: Wish, opened: list[Opened]
) -> list[Hindrance]:
    """`hindrances`, with the uses looked up."""
    return hindrances(host, controller, wish, opened, uses_of(host, controller, opened))


def refuse(controller: Controller, found: list[Hindrance]) -> None:
    """Raises the error of the first reason, with the text of all; nothing where there is none."""
    if found:
        reasons = "; ".join(hindrance.text for hindrance in found)
        raise error_of(-found[0].code, f"{controller.pci} is left as it is: {reasons}")


def _uses(uses: list[Use]) -> Iterator[Hindrance]:
    for use in sorted(uses, key=lambda use: use.kind != "root"):
        yield Hindrance(errno.EBUSY, f"{use.text}: {use.advice}")


def _functions(controller: Controller) -> Iterator[Hindrance]:
    if controller.virtual_functions:
        yield Hindrance(
            errno.EBUSY,
            f"{controller.virtual_functions} virtual functions of it are switched on and would go "
            f"with it: write 0 to /sys/bus/pci/devices/{controller.pci}/sriov_numvfs first",
        )


def _driver(controller: Controller) -> Iterator[Hindrance]:
    if controller.driver not in (None, KERNEL_DRIVER, *DRIVERS):
        yield Hindrance(
            errno.EOPNOTSUPP,
            f"{controller.driver} drives it, and what uses it there cannot be seen: give it back "
            "from there first",
        )


def _protection(host: Host, controller: Controller, wish: Wish) -> Iterator[Hindrance]:
    guarded = controller.iommu_group is not None and not controller.noiommu
    if wish.driver == UIO and guarded and _translated(host, controller):
        yield Hindrance(
            errno.EOPNOTSUPP,
            f"the IOMMU translates its addresses, so that under {UIO} it reaches no memory: use "
            f"{VFIO}",
        )
    elif wish.driver == UIO and not wish.unsafe_no_iommu:
        yield Hindrance(
            errno.EOPNOTSUPP,
            f"{UIO} uses no IOMMU: {UNPROTECTED}. Use {VFIO}, or accept it with --unsafe-no-iommu",
        )
    elif not guarded and not wish.unsafe_no_iommu:
        yield Hindrance(
            errno.EOPNOTSUPP,
            f"there is no IOMMU for it: {UNPROTECTED}. Switch the IOMMU on (VT-d or AMD-Vi in the "
            "firmware, intel_iommu=on on the kernel's command line), or accept it with "
            "--unsafe-no-iommu",
        )


def _translated(host: Host, controller: Controller) -> bool:
    folder = host.sys / "kernel/iommu_groups" / str(controller.iommu_group)
    return read_text(folder / "type") != "identity"


def _handing_on(controller: Controller, wish: Wish) -> Iterator[Hindrance]:
    unguarded = controller.iommu_group is None or controller.noiommu or wish.driver == UIO
    if wish.owner is not None and unguarded and wish.unsafe_no_iommu:
        yield Hindrance(
            errno.EOPNOTSUPP,
            "without an IOMMU only root can use it, so there is nothing to hand to another owner: "
            "leave --owner out",
        )


def _group(controller: Controller) -> Iterator[Hindrance]:
    """VFIO gives groups away whole: devices in one group can reach each other's memory."""
    for member in controller.group:
        if not member.bridge and member.driver not in _HARMLESS:
            yield Hindrance(
                errno.EBUSY,
                f"{member.pci} is in the same IOMMU group ({controller.iommu_group}) and in use by "
                f"the driver {member.driver}: unbind that too if it can be spared, or move the "
                "drive to another slot",
            )


def open_by_programs(
    host: Host, controller: Controller, opened: list[Opened]
) -> Iterator[Hindrance]:
    """Programs that drive the controller, or another of its group, by VFIO or UIO."""
    for name in user_nodes(host, controller):
        if found := having(host, name, opened):
            yield Hindrance(errno.EBUSY, f"{', '.join(found)}: end it first")
        elif name.startswith("vfio/") and not host.openable(host.node(name)):
            # Its descriptor may be closed, while that of a device keeps it in use.
            who = ", ".join(map(str, driving(opened))) or "a process that cannot be seen"
            yield Hindrance(errno.EBUSY, f"/dev/{name} is in use, it seems by {who}: end it first")


def group_node(controller: Controller) -> str | None:
    """The name of the group's node in /dev; None where the device is in no group."""
    if controller.iommu_group is None:
        return None
    return f"vfio/{'noiommu-' if controller.noiommu else ''}{controller.iommu_group}"


def user_nodes(host: Host, controller: Controller) -> list[str]:
    """Nodes in /dev through which programs drive the controller, as far as they exist now."""
    folder = host.devices / controller.pci
    names = [entry.name for entry in sorted(folder.glob("uio/uio*"))]
    names += [f"vfio/devices/{entry.name}" for entry in sorted(folder.glob("vfio-dev/vfio*"))]
    group = group_node(controller)
    return [name for name in [group, *names] if name and host.node(name).exists()]
