"""The journal: whole records, owners that live or do not, locks with a deadline."""

from __future__ import annotations

import json
import os
import time

import msgspec
import pytest

from ringway.errors import ArgumentError, BusyError, NotPermittedError
from ringway.nvme.journal import Journal, Owner, Record, alive, default_folder, this_process

PCI = "0000:01:00.0"
RECORD = Record(
    pci=PCI, driver="vfio-pci", original="nvme", override=None, boot="this-boot", owner=None
)


@pytest.fixture
def journal(host, tmp_path) -> Journal:
    folder = tmp_path / "run/ringway/nvme"
    folder.mkdir(parents=True)
    return Journal(host, folder)


def test_there_and_back(journal) -> None:
    record = msgspec.structs.replace(
        RECORD, owner=Owner(pid=1, start=2, space="pid:[1]"), node_owner=(0, 0)
    )
    assert journal.addresses() == []
    assert journal.read(PCI) is None
    journal.write(record)
    assert journal.addresses() == [PCI]
    assert journal.read(PCI) == record
    assert json.loads((journal.folder / f"{PCI}.json").read_text())["schema"].endswith("/1")
    assert sorted(os.listdir(journal.folder)) == [f"{PCI}.json"]
    journal.drop(PCI)
    journal.drop(PCI)
    assert journal.addresses() == []


def test_a_record_of_another_boot_is_none(journal) -> None:
    journal.write(msgspec.structs.replace(RECORD, boot="earlier"))
    assert journal.read(PCI) is None


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"schema": "ringway.nvme.journal/2"}'])
def test_something_else_is_not_guessed_at(journal, text: str) -> None:
    (journal.folder / f"{PCI}.json").write_text(text)
    with pytest.raises(ArgumentError, match="then delete the file"):
        journal.read(PCI)


def test_an_interrupted_write_leaves_the_old_record(journal, monkeypatch) -> None:
    journal.write(RECORD)

    def fail(descriptor: int) -> None:
        raise OSError(5, "the disk is gone")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        journal.write(msgspec.structs.replace(RECORD, driver="uio_pci_generic"))
    assert journal.read(PCI) == RECORD


def test_owners(tree, host) -> None:
    own = this_process(host)
    assert own == Owner(pid=os.getpid(), start=5, space="pid:[1]")
    assert alive(host, own)
    tree.process(os.getpid(), start=6)
    assert not alive(host, own), "a later process has the number"
    tree.write(f"proc/{os.getpid()}/stat", f"{os.getpid()} (x) Z {' 0' * 18} 5 0\n")
    assert not alive(host, own), "a zombie"
    assert alive(host, Owner(pid=own.pid, start=6, space="pid:[2]")), "another container's"


def test_the_lock_has_a_deadline_and_names_its_holder(journal) -> None:
    with journal.locked(PCI, 0):
        began = time.monotonic()
        busy = pytest.raises(BusyError, match=rf"process {os.getpid()}\) .* {PCI}")
        with busy, journal.locked(PCI, 0.1):
            pass
        assert 0.1 <= time.monotonic() - began < 5
        with journal.locked("0000:02:00.0", 0):
            pass
    with journal.locked(PCI, 0):
        pass


def test_no_place_for_it(host, monkeypatch, tmp_path) -> None:
    def refuse(self: object, **options: object) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(type(tmp_path), "mkdir", refuse)
    refused = pytest.raises(NotPermittedError, match="run it as root")
    with refused, Journal(host, tmp_path / "none").locked(PCI, 0):
        pass


def test_where_it_lies(monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert str(default_folder()) == "/run/ringway/nvme"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/mine")
    assert str(default_folder()) == "/run/mine/ringway/nvme"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert str(default_folder()) == "/run/user/1000/ringway/nvme"
