"""The way back: from wherever a hand-over has got to, to the driver a controller had."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import msgspec

from ringway.errors import error_of
from ringway.timeouts import DEFAULT_TIMEOUT

from .descriptors import open_devices
from .handover import back_steps, give_node, wait_for_namespaces, wait_node
from .host import Host
from .journal import Journal, Record
from .rules import DRIVERS, KERNEL_DRIVER, Hindrance, open_by_programs, refuse
from .sysfs import Controller, class_of, read_controller

#: Programs that have just ended may need this long to let go, in seconds.
_LETTING_GO = 3.0
_PAUSE = 0.05


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a controller."""

    pci: str
    #: The driver it has now, and the one it had.
    driver: str | None
    before: str | None
    #: False: it was so already.
    changed: bool
    #: The node through which a program drives it; None under a kernel driver.
    node: str | None = None
    #: Names of its block devices that are there now.
    blocks: list[str] = []
    #: What the user should know beside it.
    notes: list[str] = []


def outcome_of(
    controller: Controller, before: str | None, notes: list[str], node: str | None = None
) -> Outcome:
    """What a controller is now, beside the driver it had."""
    return Outcome(
        pci=controller.pci,
        driver=controller.driver,
        before=before,
        changed=controller.driver != before,
        node=node,
        blocks=[space.block for space in controller.namespaces if space.block],
        notes=notes,
    )


class Desk:
    """A machine and its journal. `timeout` seconds are the most that the kernel may take."""

    def __init__(
        self, host: Host | None = None, folder: Path | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self.host = host or Host()
        self.journal = Journal(self.host, folder)
        self.timeout = timeout

    def load(self, driver: str) -> None:
        """Loads the module of a driver that is not there. Raises `UnsupportedError`."""
        folder = self.host.drivers / driver
        if folder.exists():
            return
        trouble = self.host.load(driver)
        if not folder.exists():
            raise error_of(
                -errno.EOPNOTSUPP,
                f"this kernel has no driver {driver}, and loading its module did not help"
                + (f" ({trouble})" if trouble else "")
                + ": install the kernel's modules, or load it by other means",
            )

    def require_rights(self, controller: Controller) -> None:
        """Raises `NotPermittedError` where drivers cannot be changed."""
        file = self.host.devices / controller.pci / "driver_override"
        if not os.access(file, os.W_OK):
            raise error_of(
                -errno.EACCES,
                f"{file} cannot be written: run it as root; in a container, where sysfs is "
                "read-only, run it on the host",
            )

    def programs(self, controller: Controller) -> list[Hindrance]:
        """Who drives the controller, or another of its group, from a program."""
        return list(open_by_programs(self.host, controller, open_devices(self.host)))

    def give_back(self, record: Record, lock: int) -> Outcome:
        """Undoes what the record says, as far as it has been done; then drops the record.

        Raises `BusyError` while a program drives it, and the errors of the steps.
        """
        if class_of(self.host, record.pci) is None:
            self.journal.drop(record.pci)
            notes = ["it is no longer on the bus; its record is dropped"]
            return Outcome(pci=record.pci, driver=None, before=None, changed=False, notes=notes)
        controller = read_controller(self.host, record.pci)
        if controller.driver not in (None, record.driver, record.original):
            self.journal.drop(record.pci)
            note = f"{controller.driver} has taken it meanwhile and keeps it; its record is dropped"
            return outcome_of(controller, controller.driver, [note])
        self._return(record, controller, lock)
        notes = []
        if record.original == KERNEL_DRIVER:
            notes = wait_for_namespaces(self.host, record.pci, record.namespaces, self.timeout)
        return outcome_of(read_controller(self.host, record.pci), controller.driver, notes)

    def _return(self, record: Record, controller: Controller, lock: int) -> None:
        if controller.driver == record.driver:
            self._wait_for_programs(controller)
        if record.original:
            self.load(record.original)
        steps = back_steps(self.host, controller, record, self._last_without_iommu(record))
        if steps:
            self.require_rights(controller)
        self.host.carry_out(steps, self.timeout, lock)
        # The group's node stays where another device of the group is lent as well.
        node = wait_node(self.host, record.pci, 0)
        if record.node_owner and node:
            give_node(self.host, node, *record.node_owner)
        self.journal.drop(record.pci)

    def _wait_for_programs(self, controller: Controller) -> None:
        """Unbinding hangs while a program has the device; one that is ending gets a moment."""
        end = time.monotonic() + min(_LETTING_GO, self.timeout)
        while found := self.programs(controller):
            if time.monotonic() >= end:
                refuse(controller, found)
            time.sleep(_PAUSE)

    def _last_without_iommu(self, record: Record) -> bool:
        return record.noiommu_switched and not self.switched_for_others(record.pci)

    def switched_for_others(self, address: str) -> bool:
        """Whether ringway has turned on the mode without an IOMMU for others than this one."""
        others = [self.journal.read(name) for name in self.journal.addresses() if name != address]
        return any(other.noiommu_switched for other in others if other)

    def give_back_unrecorded(self, address: str, lock: int) -> Outcome:
        """Gives a controller that somebody else has bound to the kernel's driver."""
        controller = read_controller(self.host, address)
        if controller.driver == KERNEL_DRIVER:
            return outcome_of(controller, controller.driver, [])
        if controller.driver not in (None, *DRIVERS):
            raise error_of(
                -errno.EOPNOTSUPP,
                f"{controller.driver} drives {address}, and ringway did not bind it there: give it "
                "back with what did",
            )
        driver = controller.driver or ""
        record = record_of(self.host, controller)
        # How many namespaces will come is not known; a drive has one.
        record = msgspec.structs.replace(
            record, driver=driver, original=KERNEL_DRIVER, override=None, namespaces=1
        )
        return self.give_back(record, lock)


def record_of(host: Host, controller: Controller) -> Record:
    """What is needed to bring a controller back to where it is now."""
    return Record(
        pci=controller.pci,
        driver="",
        original=controller.driver,
        override=controller.driver_override,
        boot=host.boot(),
        owner=None,
        model=controller.model,
        serial=controller.serial,
        namespaces=len([space for space in controller.namespaces if space.block]),
    )
