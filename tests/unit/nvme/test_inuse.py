"""Who uses a controller: each sort of use, in a tree of its own."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from ringway.errors import NotPermittedError
from ringway.nvme.descriptors import open_devices
from ringway.nvme.inuse import claim_all, uses_of
from ringway.nvme.sysfs import read_controller


@pytest.fixture
def uses(tree, host):
    """What uses the plain controller, as sort and clause."""
    tree.controller()
    tree.block("nvme0n1p1", "259:5", part_of="nvme0n1")

    def look() -> list[tuple[str, str]]:
        found = uses_of(host, read_controller(host, "0000:01:00.0"), open_devices(host))
        assert all(use.advice for use in found)
        return [(use.kind, use.text) for use in found]

    return look


def test_nobody(uses) -> None:
    assert uses() == []


def test_mounted_by_number(tree, uses) -> None:
    tree.mountinfo(r"9 1 259:5 / /a\040place rw shared:3 - ext4 /dev/root rw")
    assert uses() == [("mounted", "nvme0n1p1 is mounted at /a place")]


def test_mounted_by_name(tree, uses) -> None:
    """A file system with a number of its own, as btrfs has."""
    tree.mountinfo("9 1 0:44 / /srv rw - btrfs /dev/nvme0n1 rw")
    assert uses() == [("mounted", "nvme0n1 is mounted at /srv")]


def test_mounted_in_the_view_of_the_first_process(tree, uses) -> None:
    tree.write("proc/1/mountinfo", "9 1 259:0 / /srv rw - xfs /dev/nvme0n1 rw\n")
    assert uses() == [("mounted", "nvme0n1 is mounted at /srv")]


def test_the_root_file_system_on_a_volume(tree, uses) -> None:
    tree.block("dm-0", "253:0")
    tree.write("sys/class/block/dm-0/dm/name", "vg-root\n")
    tree.write("sys/class/block/nvme0n1p1/holders/dm-0")
    tree.mountinfo("1 0 253:0 / / rw - ext4 /dev/mapper/vg-root rw")
    assert uses() == [
        ("root", "the root file system lies on dm-0"),
        ("held", "nvme0n1p1 is held by dm-0 (vg-root)"),
    ]


def test_swap(tree, uses) -> None:
    tree.write("proc/swaps", "Filename Type Size Used Priority\n/dev/nvme0n1p1 partition 8 0 -2\n")
    assert uses() == [("swap", "nvme0n1p1 is swap space")]


def test_a_part_of_a_btrfs(tree, uses) -> None:
    tree.link("sys/fs/btrfs/4711-ab/devices/nvme0n1", "../../x")
    assert uses() == [("btrfs", "nvme0n1 is part of the btrfs 4711-ab")]


def test_a_loop_device(tree, uses) -> None:
    tree.write("sys/class/block/loop3/loop/backing_file", "/dev/nvme0n1\n")
    assert uses() == [("loop", "nvme0n1 is behind loop3")]


def test_served_by_the_nvme_target(tree, uses) -> None:
    space = "sys/kernel/config/nvmet/subsystems/nqn.x/namespaces/1"
    tree.write(f"{space}/device_path", "/dev/nvme0n1\n")
    tree.write(f"{space}/enable", "0\n")
    assert uses() == []
    tree.write(f"{space}/enable", "1\n")
    assert uses() == [("exported", "nvme0n1 is served as nqn.x")]


@pytest.mark.parametrize("name", ["nvme0n1p1", "ng0n1", "nvme0"])
def test_descriptors(tree, host, uses, name: str) -> None:
    tree.process(42, "/dev/other", str(host.node(name)), str(host.node(name)))
    assert uses() == [("open", f"process 42 (fio) has /dev/{name} open")]


def test_descriptors_of_a_node_with_another_name(tree, uses) -> None:
    """The number decides: here the namespace's character device is the null device."""
    (tree.root / "dev/ng0n1").symlink_to("/dev/null")
    (tree.root / "dev/other").symlink_to("/dev/null")
    (tree.root / "dev/unlike").symlink_to("/dev/zero")
    tree.process(42, str(tree.root / "dev/other"))
    tree.process(43, str(tree.root / "dev/unlike"))
    assert uses() == [("open", "process 42 (fio) has /dev/ng0n1 open")]


def test_a_mapping_without_a_descriptor(tree, host, uses) -> None:
    """Also where this user may not follow the link to the node."""
    tree.mapping(42, str(host.node("nvme0n1p1")))
    assert uses() == [("open", "process 42 (fio) has /dev/nvme0n1p1 mapped")]


@pytest.mark.parametrize("path", ["/dev/renamed", "/srv/root/dev/nvme9n9", "/nvme0n1 (deleted)"])
def test_a_mapping_of_a_node_with_another_name(tree, uses, path: str) -> None:
    (tree.root / "dev/ng0n1").symlink_to("/dev/null")
    tree.mapping(42, path, "/dev/null")
    tree.mapping(43, path, "/dev/zero")
    assert uses() == [("open", "process 42 (fio) has /dev/ng0n1 mapped")]


def test_a_mapping_beside_a_descriptor(tree, host, uses) -> None:
    tree.mapping(42, str(host.node("nvme0n1")))
    tree.process(42, str(host.node("nvme0n1")))
    assert uses() == [("open", "process 42 (fio) has /dev/nvme0n1 open")]


def test_names_that_are_not_text(tree, host, uses) -> None:
    """The kernel cuts a process' name after 15 bytes, be it within a letter."""
    tree.process(42, str(host.node("nvme0n1")))
    (tree.root / "proc/42/comm").write_bytes(b"fifteen-bytes-\xc3\n")
    (tree.root / "proc/42/maps").write_bytes(b"0-1 r--p 0 08:02 1 /dev/\xff\n")
    assert uses() == [("open", "process 42 (fifteen-bytes-\ufffd) has /dev/nvme0n1 open")]


def test_claims_are_given_back(tree, host) -> None:
    tree.controller(blocks=("nvme0n1", "nvme0n2"))
    before = len(os.listdir("/proc/self/fd"))
    with ExitStack() as claims:
        assert claim_all(host, read_controller(host, "0000:01:00.0"), claims) is None
        assert len(os.listdir("/proc/self/fd")) == before + 2
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_claim_of_somebody_else(tree, host) -> None:
    tree.controller(blocks=("nvme0n1", "nvme0n2"))
    tree.claimed.add("nvme0n2")
    with ExitStack() as claims:
        use = claim_all(host, read_controller(host, "0000:01:00.0"), claims)
    assert use is not None
    assert (use.kind, use.device) == ("claimed", "nvme0n2")


def test_without_the_right_to_claim(tree, host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, name: str) -> int:
        raise PermissionError(13, "no")

    tree.controller()
    monkeypatch.setattr(type(host), "claim", refuse)
    with ExitStack() as claims, pytest.raises(NotPermittedError, match="run it as root"):
        claim_all(host, read_controller(host, "0000:01:00.0"), claims)
