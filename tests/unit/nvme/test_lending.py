"""Hand-over and back, on a machine of files: what happens, in which order, and after failures."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from ringway.errors import (
    ArgumentError,
    BusyError,
    DeadlineError,
    NotFoundError,
    NotPermittedError,
    RingwayError,
    UnsupportedError,
    error_of,
)
from ringway.nvme import Wish, borrowed
from ringway.nvme.sysfs import read_controller

PCI = "0000:01:00.0"
VFIO = Wish()


def driver_of(lender) -> str | None:
    return read_controller(lender.host, PCI).driver


# ---------------------------------------------------------------- there and back


def test_bind_and_unbind(tree, lender) -> None:
    tree.controller()
    bound = lender.bind(PCI, VFIO)
    assert (bound.driver, bound.before, bound.changed) == ("vfio-pci", "nvme", True)
    assert bound.node == str(tree.root / "dev/vfio/7")
    record = lender.journal.read(PCI)
    assert (record.original, record.override, record.owner) == ("nvme", None, None)
    assert (record.model, record.namespaces) == ("Fast Drive", 1)

    back = lender.unbind(PCI)
    assert (back.driver, back.blocks, back.notes) == ("nvme", ["nvme0n1"], [])
    assert lender.journal.addresses() == []
    assert tree.written == [
        ("driver_override", "vfio-pci"),
        ("unbind", PCI),
        ("bind", PCI),
        ("driver_override", ""),
        ("unbind", PCI),
        ("bind", PCI),
    ]


def test_the_second_time_changes_nothing(tree, lender) -> None:
    tree.controller()
    lender.bind(PCI, VFIO)
    tree.written.clear()
    again = lender.bind(PCI, VFIO)
    assert (again.changed, again.node) == (False, str(tree.root / "dev/vfio/7"))
    lender.unbind(PCI)
    assert not lender.unbind(PCI).changed
    assert len(tree.written) == 3


def test_what_was_reserved_before_is_so_again(tree, lender) -> None:
    folder = tree.controller(driver=None)
    tree.write(f"{folder}/driver_override", "none\n")
    lender.bind(PCI, VFIO)
    back = lender.unbind(PCI)
    assert (back.driver, read_controller(lender.host, PCI).driver_override) == (None, "none")


def test_what_others_have_bound_goes_to_the_kernels_driver(tree, lender) -> None:
    folder = tree.controller(driver="vfio-pci")
    tree.write(f"{folder}/driver_override", "vfio-pci\n")
    assert lender.unbind(PCI).driver == "nvme"
    assert read_controller(lender.host, PCI).driver_override is None


def test_what_unknown_drivers_have_is_theirs(tree, lender) -> None:
    tree.controller(driver="xen-pciback")
    with pytest.raises(UnsupportedError, match="ringway did not bind it"):
        lender.unbind(PCI)


def test_the_group_is_handed_on_and_back(tree, lender, monkeypatch) -> None:
    owners = []
    monkeypatch.setattr(os, "chown", lambda node, user, group: owners.append((node, user, group)))
    tree.controller()
    bound = lender.bind(PCI, Wish(owner=1000))
    info = os.stat(bound.node)
    assert owners == [(bound.node, 1000, -1)]
    assert lender.journal.read(PCI).node_owner == (info.st_uid, info.st_gid)
    lender.bind(PCI, Wish(owner=1001))
    assert owners[1:] == [(bound.node, 1001, -1)]
    assert lender.journal.read(PCI).node_owner == (info.st_uid, info.st_gid)


def test_a_driver_that_must_be_loaded(tree, lender) -> None:
    tree.controller()
    tree.loadable.clear()
    with pytest.raises(
        UnsupportedError, match=r"no driver vfio-pci, .*modprobe vfio-pci: not found"
    ):
        lender.bind(PCI, VFIO)
    assert (driver_of(lender), lender.journal.addresses()) == ("nvme", [])


def test_refusals_change_nothing(tree, lender) -> None:
    tree.controller()
    tree.claimed.add("nvme0n1")
    with pytest.raises(BusyError, match="claimed exclusively"):
        lender.bind(PCI, VFIO)
    tree.claimed.clear()
    tree.mountinfo("9 1 259:0 / /srv rw - ext4 /dev/nvme0n1 rw")
    with pytest.raises(BusyError, match="mounted at /srv"):
        lender.bind(PCI, VFIO)
    with pytest.raises(NotFoundError):
        lender.bind("0000:09:00.0", VFIO)
    with pytest.raises(ArgumentError):
        lender.bind("nvme0", VFIO)
    assert (tree.written, lender.journal.addresses()) == ([], [])


def test_without_rights(tree, lender, monkeypatch) -> None:
    tree.controller()
    monkeypatch.setattr(os, "access", lambda file, mode: False)
    with pytest.raises(NotPermittedError, match="run it as root"):
        lender.bind(PCI, VFIO)
    assert tree.written == []
    monkeypatch.undo()
    lender.bind(PCI, VFIO)
    monkeypatch.setattr(os, "access", lambda file, mode: False)
    with pytest.raises(NotPermittedError, match="run it as root"):
        lender.unbind(PCI)
    assert lender.journal.addresses() == [PCI]


# ---------------------------------------------------------------- failures on the way


def test_the_journal_comes_first(tree, lender, monkeypatch) -> None:
    tree.controller()

    def fail(record: object) -> None:
        raise error_of(-errno.ENOSPC, "no space")

    monkeypatch.setattr(lender.journal, "write", fail)
    with pytest.raises(RingwayError, match="no space"):
        lender.bind(PCI, VFIO)
    assert tree.written == []


@pytest.mark.parametrize("failing", ["driver_override", "unbind"])
def test_a_step_that_fails_is_undone(tree, lender, failing: str) -> None:
    tree.controller()
    tree.failing[failing] = errno.EPERM
    with pytest.raises(NotPermittedError, match="could not"):
        lender.bind(PCI, VFIO)
    tree.failing.clear()
    assert (driver_of(lender), read_controller(lender.host, PCI).driver_override) == ("nvme", None)
    lender.recover()
    assert lender.journal.addresses() == []


def test_a_driver_that_does_not_want_it(tree, lender, monkeypatch) -> None:
    tree.controller()
    bind = tree._bind

    def refuse(pci: str, driver: str) -> None:
        if driver == "vfio-pci":
            raise error_of(-errno.EINVAL, "could not bind")
        bind(pci, driver)

    monkeypatch.setattr(tree, "_bind", refuse)
    with pytest.raises(ArgumentError, match="could not bind"):
        lender.bind(PCI, VFIO)
    assert (driver_of(lender), lender.journal.addresses()) == ("nvme", [])
    assert read_controller(lender.host, PCI).driver_override is None


def test_a_write_that_hangs_keeps_the_record(tree, lender) -> None:
    tree.controller()
    tree.failing["unbind"] = errno.ETIME
    with pytest.raises(DeadlineError):
        lender.bind(PCI, VFIO)
    assert lender.journal.addresses() == [PCI]
    tree.failing.clear()
    assert lender.unbind(PCI).driver == "nvme"
    assert lender.journal.addresses() == []


def test_a_drive_that_does_not_come_up(tree, lender, monkeypatch) -> None:
    tree.controller()
    lender.bind(PCI, VFIO)
    monkeypatch.setattr(tree, "appear", lambda pci: None)
    (note,) = lender.unbind(PCI).notes
    assert "shows 0 of 1 namespaces" in note


def test_a_loan_warns_of_a_drive_that_does_not_come_up(tree, lender, monkeypatch) -> None:
    tree.controller()
    warned = pytest.warns(RuntimeWarning, match="shows 0 of 1")
    with warned, borrowed(PCI, lender=lender):
        monkeypatch.setattr(tree, "appear", lambda pci: None)


# ---------------------------------------------------------------- without an IOMMU

SWITCH = "sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
UNSAFE = Wish(unsafe_no_iommu=True)


def test_vfio_without_an_iommu(tree, lender) -> None:
    tree.controller(group=None)
    switch = tree.write(SWITCH, "N")
    bound = lender.bind(PCI, UNSAFE)
    assert bound.node == str(tree.root / "dev/vfio/noiommu-0")
    assert switch.read_text() == "Y"
    assert lender.unbind(PCI).driver == "nvme"
    assert switch.read_text() == "N"


def test_the_switch_stays_as_long_as_somebody_needs_it(tree, lender) -> None:
    tree.controller(group=None)
    switch = tree.write(SWITCH, "Y")
    lender.bind(PCI, UNSAFE)
    lender.unbind(PCI)
    assert switch.read_text() == "Y"


@pytest.mark.parametrize("first", [0, 1])
def test_the_last_of_several_turns_the_switch_off(tree, lender, first: int) -> None:
    both = [PCI, "0000:02:00.0"]
    tree.controller(group=None)
    tree.controller(both[1], "nvme1", group=None, blocks=("nvme1n1",))
    switch = tree.write(SWITCH, "N")
    for pci in both:
        lender.bind(pci, UNSAFE)
    lender.unbind(both[first])
    assert switch.read_text() == "Y"
    lender.unbind(both[1 - first])
    assert switch.read_text() == "N"


def test_the_switch_is_not_for_the_protected(tree, lender) -> None:
    guarded = "0000:02:00.0"
    tree.controller(group=None)
    tree.controller(guarded, "nvme1", blocks=("nvme1n1",))
    switch = tree.write(SWITCH, "N")
    lender.bind(PCI, UNSAFE)
    lender.bind(guarded, VFIO)
    lender.unbind(PCI)
    assert switch.read_text() == "N"


def test_a_kernel_that_cannot_do_without(tree, lender) -> None:
    tree.controller(group=None)
    with pytest.raises(UnsupportedError, match="CONFIG_VFIO_NOIOMMU is off"):
        lender.bind(PCI, UNSAFE)


def test_uio(tree, lender) -> None:
    tree.controller(group=None)
    tree.loadable.add("uio_pci_generic")
    bound = lender.bind(PCI, Wish(driver="uio_pci_generic", unsafe_no_iommu=True))
    assert bound.node == str(tree.root / "dev/uio0")
    tree.process(42, bound.node)
    with pytest.raises(BusyError, match="process 42"):
        lender.unbind(PCI)
    assert stat.S_ISREG(os.stat(bound.node).st_mode)
