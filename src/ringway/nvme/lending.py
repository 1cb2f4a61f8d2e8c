"""Handing a controller to programs: for good, or as a loan that ends with the process."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from ringway.errors import DeadlineError, error_of
from ringway.timeouts import DEFAULT_TIMEOUT

from .descriptors import open_devices
from .giving import Desk, Outcome, outcome_of, record_of
from .handover import give_node, must_switch_noiommu, needs_noiommu, take_steps, wait_node
from .host import pci_address
from .inuse import claim_all
from .journal import Owner, Record, alive, this_process
from .rules import UIO, VFIO, Hindrance, Wish, examine, refuse, require
from .sysfs import Controller, read_controller

#: A command that only looks shall not wait long for a device that somebody else is at.
_RECOVERY_WAIT = 2.0


class Lender(Desk):
    """Binds and gives back, with one journal."""

    def bind(self, address: str, wish: Wish, *, loan: bool = False) -> Outcome:
        """Hands a controller to a driver for programs; with `loan` until this process ends.

        Raises `BusyError` where it is in use, `UnsupportedError`, `NotPermittedError`,
        `NotFoundError`, with nothing changed; `DeadlineError` where the kernel hangs.
        """
        address = pci_address(address)
        require(self.host, address)
        with self.journal.locked(address, self.timeout) as lock:
            record = self._free_record(address, lock)
            controller = read_controller(self.host, address)
            if controller.driver == wish.driver:
                return self._already(controller, wish, record)
            refuse(controller, self.examine(controller, wish))
            self.require_rights(controller)
            self.load(wish.driver)
            record = self._new_record(controller, wish, record)
            node = self._take(controller, wish, record, lock, loan)
            now = read_controller(self.host, address)
            return outcome_of(now, controller.driver, [], node)

    def examine(self, controller: Controller, wish: Wish) -> list[Hindrance]:
        """What stands against binding it, without claiming or changing anything."""
        return examine(self.host, controller, wish, open_devices(self.host))

    def unbind(self, address: str) -> Outcome:
        """Gives a controller back to the driver it had, or to the kernel's own.

        Raises `BusyError` while a program drives it, or a living process has borrowed it.
        """
        address = pci_address(address)
        with self.journal.locked(address, self.timeout) as lock:
            record = self.journal.read(address)
            if record is None:
                require(self.host, address)
                return self.give_back_unrecorded(address, lock)
            if record.owner and alive(self.host, record.owner):
                raise error_of(-errno.EBUSY, _lent(record, record.owner))
            return self.give_back(record, lock)

    def end_loan(self, address: str) -> Outcome | None:
        """Gives back what this process has borrowed; None when that has happened already."""
        with self.journal.locked(address, self.timeout) as lock:
            record = self.journal.read(address)
            if record is None or record.owner != this_process(self.host):
                return None
            return self.give_back(record, lock)

    def recover(self) -> tuple[list[Outcome], list[str]]:
        """Gives back what dead owners have left: what was done, and what could not be."""
        done, failed = [], []
        for address in self.journal.addresses():
            try:
                if outcome := self._recover(address):
                    done.append(outcome)
            except OSError as error:
                failed.append(error.strerror or str(error))
        return done, failed

    def _recover(self, address: str) -> Outcome | None:
        if not self._left(self.journal.read(address)):
            return None
        with self.journal.locked(address, min(_RECOVERY_WAIT, self.timeout)) as lock:
            record = self.journal.read(address)
            if record is None:
                # Of an earlier boot: the start of the machine has given the device back.
                self.journal.drop(address)
            elif self._left(record):
                return self.give_back(record, lock)
        return None

    def _left(self, record: Record | None) -> bool:
        return record is None or (record.owner is not None and not alive(self.host, record.owner))

    def _free_record(self, address: str, lock: int) -> Record | None:
        """The record of a device that nobody borrows; a dead owner's loan is ended first."""
        record = self.journal.read(address)
        if record is None or record.owner is None:
            return record
        if alive(self.host, record.owner):
            raise error_of(-errno.EBUSY, _lent(record, record.owner))
        self.give_back(record, lock)
        return None

    def _already(self, controller: Controller, wish: Wish, record: Record | None) -> Outcome:
        node = wait_node(self.host, controller.pci, 0)
        if wish.owner is not None and node:
            refuse(controller, self.programs(controller))
            if record:
                self._hand_on(node, wish.owner, record)
            else:
                give_node(self.host, node, wish.owner, -1)
        return outcome_of(controller, controller.driver, [], node)

    def _new_record(self, controller: Controller, wish: Wish, record: Record | None) -> Record:
        """With this process as its owner: should it be killed midway, others give back."""
        switched = must_switch_noiommu(self.host, controller, wish) or (
            needs_noiommu(controller, wish) and self.switched_for_others(controller.pci)
        )
        # A record that somebody has overtaken by hand says nothing of the way back any more.
        if record is None or controller.driver not in (None, record.driver):
            record = record_of(self.host, controller)
        return msgspec.structs.replace(
            record,
            driver=wish.driver,
            owner=this_process(self.host),
            noiommu_switched=record.noiommu_switched or switched,
        )

    def _take(
        self, controller: Controller, wish: Wish, record: Record, lock: int, loan: bool
    ) -> str:
        """The hand-over proper. What fails is undone, unless the kernel hangs in it."""
        with ExitStack() as claims:
            # Held until the block devices are gone: nothing can be mounted in the meantime.
            if use := claim_all(self.host, controller, claims):
                refuse(controller, [Hindrance(errno.EBUSY, f"{use.text}: {use.advice}")])
            self.journal.write(record)
            try:
                switch = must_switch_noiommu(self.host, controller, wish)
                steps = take_steps(self.host, controller, wish.driver, switch)
                self.host.carry_out(steps, self.timeout, lock)
                node = self._node_of(controller, wish)
                if wish.owner is not None:
                    record = self._hand_on(node, wish.owner, record)
                if not loan:
                    self._disown(record)
                return node
            except DeadlineError:
                # This process lives, and may be told to give it back.
                if not loan:
                    self._disown(record)
                raise
            except BaseException:
                claims.close()
                self.give_back(record, lock)
                raise

    def _node_of(self, controller: Controller, wish: Wish) -> str:
        driver = read_controller(self.host, controller.pci).driver
        node = wait_node(self.host, controller.pci, self.timeout)
        if driver == wish.driver and node:
            return node
        if driver != wish.driver:
            text = f"{controller.pci} went to {wish.driver}, but {driver or 'nobody'} has it now"
        else:
            place = "/dev/uio*" if wish.driver == UIO else "/dev/vfio"
            text = f"{controller.pci} got no node in {place}: is this a container's own /dev?"
        raise error_of(-errno.EIO, text)

    def _disown(self, record: Record) -> None:
        """From here on it stays bound, whoever ends."""
        self.journal.write(msgspec.structs.replace(record, owner=None))

    def _hand_on(self, node: str, owner: int, record: Record) -> Record:
        """Gives the node to a user, after the journal knows whose it was: the record as it is."""
        if record.node_owner is None:
            info = os.stat(node)
            was = (info.st_uid, info.st_gid)
            record = msgspec.structs.replace(record, node_owner=was)
            self.journal.write(record)
        give_node(self.host, node, owner, -1)
        return record


@contextmanager
def borrowed(
    address: str,
    driver: str = VFIO,
    *,
    owner: int | None = None,
    unsafe_no_iommu: bool = False,
    timeout: float = DEFAULT_TIMEOUT,
    lender: Lender | None = None,
) -> Iterator[Outcome]:
    """Has a controller bound to `driver` in the block, and gives it back behind it.

    ``with ringway.nvme.borrowed("0000:01:00.0") as loan:`` makes ``loan.node`` the node of its
    VFIO group, which belongs to the user id `owner` if one is given. A controller that is bound
    there already is left so. A process that is killed gives nothing back; the next call does it
    in its place. Close whatever has the node open before the block ends: `BusyError` otherwise.
    Raises the errors of `Lender.bind`.
    """
    lender = lender or Lender(timeout=timeout)
    lender.recover()
    wish = Wish(driver=driver, unsafe_no_iommu=unsafe_no_iommu, owner=owner)
    loan = lender.bind(address, wish, loan=True)
    here = os.getpid()
    try:
        yield loan
    finally:
        # A forked child that leaves the block has not borrowed anything.
        if loan.changed and os.getpid() == here:
            back = lender.end_loan(loan.pci)
            for note in back.notes if back else ():
                warnings.warn(f"{loan.pci}: {note}", RuntimeWarning, stacklevel=3)


def _lent(record: Record, owner: Owner) -> str:
    return (
        f"process {owner.pid} has borrowed {record.pci} and gives it back when it ends: wait for "
        "it, or end it"
    )
