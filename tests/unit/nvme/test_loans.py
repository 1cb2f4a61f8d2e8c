"""Loans that end: with their block, after a kill, in a later boot; and what they leave behind."""

from __future__ import annotations

import os

import msgspec
import pytest

from ringway.errors import BusyError, NotPermittedError
from ringway.nvme import Wish, borrowed
from ringway.nvme.journal import Owner
from ringway.nvme.sysfs import read_controller

PCI = "0000:01:00.0"
VFIO = Wish()
DEAD = Owner(pid=999, start=1, space="pid:[1]")


def driver_of(lender) -> str | None:
    return read_controller(lender.host, PCI).driver


def leave(lender, owner: Owner | None = DEAD) -> None:
    """A controller that a process has bound and not given back."""
    lender.bind(PCI, VFIO)
    record = lender.journal.read(PCI)
    lender.journal.write(msgspec.structs.replace(record, owner=owner))


def test_a_loan(tree, new_lender) -> None:
    tree.controller()
    lender = new_lender()
    with borrowed(PCI, lender=lender) as loan:
        assert loan.node == str(tree.root / "dev/vfio/7")
        assert lender.journal.read(PCI).owner.pid == os.getpid()
        for refused in (lambda: new_lender().bind(PCI, VFIO), lambda: new_lender().unbind(PCI)):
            with pytest.raises(BusyError, match=f"process {os.getpid()} has borrowed"):
                refused()
        assert new_lender().recover() == ([], [])
    assert (driver_of(lender), lender.journal.addresses()) == ("nvme", [])


def test_a_loan_of_what_was_bound_for_good(tree, lender) -> None:
    tree.controller()
    lender.bind(PCI, VFIO)
    with borrowed(PCI, lender=lender) as loan:
        assert not loan.changed
    assert driver_of(lender) == "vfio-pci"
    assert lender.journal.addresses() == [PCI]


def test_a_program_that_does_not_let_go(tree, lender) -> None:
    tree.controller()
    busy = pytest.raises(BusyError, match=r"process 42 \(fio\) has .*vfio/7 open")
    with busy, borrowed(PCI, lender=lender) as loan:
        tree.process(42, loan.node)
    assert driver_of(lender) == "vfio-pci"
    tree.link("proc/42/fd/0", "/elsewhere")
    assert lender.end_loan(PCI).driver == "nvme"
    assert lender.end_loan(PCI) is None


def test_dead_owners_are_stood_in_for(tree, new_lender) -> None:
    tree.controller()
    leave(new_lender())
    done, failed = new_lender().recover()
    assert ([outcome.driver for outcome in done], failed) == (["nvme"], [])
    leave(new_lender())
    assert new_lender().bind(PCI, VFIO).before == "nvme"
    assert new_lender().recover() == ([], []), "what is bound for good stays"


def test_a_dead_owner_whose_program_lives_on(tree, lender) -> None:
    tree.controller()
    leave(lender)
    tree.process(42, str(tree.root / "dev/vfio/7"))
    done, (text,) = lender.recover()
    assert done == []
    assert "process 42 (fio)" in text
    assert lender.journal.addresses() == [PCI]


@pytest.mark.parametrize("stopped_after", range(4))
def test_a_kill_between_any_two_steps(tree, new_lender, stopped_after: int) -> None:
    """The journal is written, then so many of the three steps are done."""
    tree.controller()
    leave(new_lender())
    record = new_lender().journal.read(PCI)
    folder = f"sys/bus/pci/devices/{PCI}"
    if stopped_after < 3:
        tree._unbind(PCI, "vfio-pci")
    if stopped_after < 2:
        tree._bind(PCI, "nvme")
    if stopped_after < 1:
        tree.write(f"{folder}/driver_override", "(null)\n")
    assert new_lender().journal.read(PCI) == record
    lender = new_lender()
    done, failed = lender.recover()
    assert (len(done), failed) == (1, [])
    found = read_controller(lender.host, PCI)
    assert (found.driver, found.driver_override, len(found.namespaces)) == ("nvme", None, 1)
    assert lender.journal.addresses() == []


@pytest.mark.parametrize("stage", ["driver_override", "unbind", "bind", "chown"])
def test_a_kill_amid_a_plain_bind(tree, new_lender, monkeypatch, stage: str) -> None:
    """Before the node is there, nobody has been told that it stays bound."""
    tree.controller()
    child = os.fork()
    if child == 0:
        try:
            _die_after(stage, tree, monkeypatch)
            new_lender().bind(PCI, Wish(owner=1000))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    lender = new_lender()
    done, failed = lender.recover()
    assert (len(done), failed) == (1, [])
    found = read_controller(lender.host, PCI)
    assert (found.driver, found.driver_override, len(found.namespaces)) == ("nvme", None, 1)
    assert lender.journal.addresses() == []


def _die_after(stage: str, tree, monkeypatch) -> None:
    obey = tree.obey

    def obey_and_die(step) -> None:
        obey(step)
        if step.file.name == stage:
            os._exit(9)

    monkeypatch.setattr(tree, "obey", obey_and_die)
    monkeypatch.setattr(os, "chown", lambda *arguments: os._exit(9))


def test_records_that_no_longer_fit(tree, lender, monkeypatch) -> None:
    tree.controller()
    leave(lender)
    tree.driver("xen-pciback")
    tree.link(f"sys/bus/pci/devices/{PCI}/driver", "../../drivers/xen-pciback")
    ((outcome,), _) = lender.recover()
    assert (outcome.driver, outcome.changed) == ("xen-pciback", False)
    assert "keeps it" in outcome.notes[0]
    assert lender.journal.addresses() == []


def test_a_drive_that_was_pulled_out(tree, lender) -> None:
    tree.controller()
    leave(lender)
    (tree.root / f"sys/bus/pci/devices/{PCI}/class").unlink()
    ((outcome,), _) = lender.recover()
    assert "no longer on the bus" in outcome.notes[0]
    assert lender.journal.addresses() == []


def test_an_earlier_boot(tree, lender) -> None:
    tree.controller()
    leave(lender)
    tree.write("proc/sys/kernel/random/boot_id", "next-boot\n")
    tree.written.clear()
    assert lender.recover() == ([], [])
    assert (tree.written, lender.journal.addresses()) == ([], [])


def test_a_broken_record_does_not_stop_the_others(tree, lender) -> None:
    tree.controller()
    leave(lender)
    (lender.journal.folder / "0000:00:01.0.json").write_text("nonsense")
    done, (text,) = lender.recover()
    assert len(done) == 1
    assert "then delete the file" in text


def test_a_record_overtaken_by_hand(tree, lender) -> None:
    folder = tree.controller(driver=None)
    lender.bind(PCI, VFIO)
    tree._unbind(PCI, "vfio-pci")
    tree._bind(PCI, "nvme")
    tree.write(f"{folder}/driver_override", "(null)\n")
    lender.bind(PCI, VFIO)
    assert lender.unbind(PCI).driver == "nvme"


def test_a_bind_that_was_cut_short_can_be_gone_on_with(tree, lender) -> None:
    tree.controller()
    lender.bind(PCI, VFIO)
    tree._unbind(PCI, "vfio-pci")
    assert lender.bind(PCI, VFIO).before is None
    assert lender.unbind(PCI).driver == "nvme"


def test_an_owner_that_cannot_be_given_it(tree, lender, monkeypatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "no")

    tree.controller()
    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(NotPermittedError, match="could not be given to user 1000"):
        lender.bind(PCI, Wish(owner=1000), loan=True)
    assert (driver_of(lender), lender.journal.addresses()) == ("nvme", [])
