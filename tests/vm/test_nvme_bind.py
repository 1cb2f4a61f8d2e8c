"""Hand-over of emulated controllers to VFIO and back, with everything that stands against it."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

import ringway.nvme
from ringway import BusyError, DeadlineError, RingwayError, UnsupportedError
from ringway.cli.app import run
from ringway.nvme import Controller, Host, Lender, Wish, borrowed, controllers
from ringway.nvme.journal import Journal, this_process
from ringway.nvme.listing import listing

pytestmark = pytest.mark.emulated_nvme(topology="contract")

HOST = Host()
VFIO = Wish()


@pytest.fixture
def lender() -> Iterator[Lender]:
    """With everything given back behind the test."""
    lender = Lender(timeout=20)
    yield lender
    for address in lender.journal.addresses():
        lender.unbind(address)


@pytest.fixture
def drive() -> Controller:
    """The second of the machine's drives; never one that is not emulated."""
    found = controllers(HOST)[1]
    assert (found.model or "").startswith("QEMU")
    return found


@pytest.fixture
def node(drive: Controller) -> Path:
    return Path("/dev", drive.namespaces[0].block or "")


def tool(*command: str | Path) -> None:
    """Runs a tool of the system; skips where there is none."""
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"there is no {command[0]} here")
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def module(name: str, sign: str) -> None:
    """Loads a kernel module; skips where that does not bring the sign of it."""
    if not Path(sign).exists() and shutil.which("modprobe"):
        subprocess.run(["modprobe", name], check=False, capture_output=True, timeout=60)
    if not Path(sign).exists():
        pytest.skip(f"this kernel has no {name}")


def refused(lender: Lender, drive: Controller, *words: str) -> str:
    """Binding is refused with these words, and the drive stays with its driver."""
    with pytest.raises(BusyError) as caught:
        lender.bind(drive.pci, VFIO)
    for word in words:
        assert word in caught.value.strerror
    now = next(found for found in listing(HOST).controllers if found.pci == drive.pci)
    assert now.driver == "nvme"
    assert not now.bindable
    assert now.hindrances
    assert not lender.journal.addresses()
    return str(caught.value.strerror)


# ---------------------------------------------------------------- there and back


def test_data_survive_the_way_there_and_back(lender: Lender, drive: Controller, node: Path) -> None:
    data = os.urandom(1 << 20)
    node.write_bytes(data)
    os.sync()
    bound = lender.bind(drive.pci, VFIO)
    assert bound.node == f"/dev/vfio/{drive.iommu_group}"
    assert Path(bound.node).is_char_device()
    assert not node.exists()
    assert not lender.bind(drive.pci, VFIO).changed

    back = lender.unbind(drive.pci)
    assert (back.driver, back.blocks, back.notes) == ("nvme", [node.name], [])
    with node.open("rb") as stream:
        assert stream.read(len(data)) == data
    assert controllers(HOST)[1].driver_override is None
    assert not lender.unbind(drive.pci).changed


def test_another_user_may_open_the_group_afterwards(lender: Lender, drive: Controller) -> None:
    nobody = 65534
    bound = lender.bind(drive.pci, Wish(owner=nobody))
    code = f"import os; os.setuid({nobody}); os.open({bound.node!r}, os.O_RDWR)"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=60)


def test_a_loan_ends_with_its_block_also_when_that_fails(drive: Controller, node: Path) -> None:
    def fail() -> None:
        with borrowed(drive.pci) as loan:
            assert loan.node
            assert not node.exists()
            with pytest.raises(BusyError, match=f"process {os.getpid()} has borrowed"):
                Lender().bind(drive.pci, VFIO)
            with pytest.raises(BusyError, match="has borrowed"):
                Lender().unbind(drive.pci)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert node.is_block_device()


def test_uio_is_refused_where_the_iommu_translates(lender: Lender, drive: Controller) -> None:
    with pytest.raises(UnsupportedError, match="use vfio-pci"):
        lender.bind(drive.pci, Wish(driver="uio_pci_generic", unsafe_no_iommu=True))


# ---------------------------------------------------------------- in use


@pytest.fixture
def mounted(node: Path, tmp_path: Path) -> Iterator[Path]:
    module("ext4", "/sys/fs/ext4")
    tool("mkfs.ext4", "-q", "-F", node)
    place = tmp_path / "a place"
    place.mkdir()
    tool("mount", "-t", "ext4", node, place)
    yield place
    if place.is_mount():
        tool("umount", place)


def test_mounted(lender: Lender, drive: Controller, node: Path, mounted: Path) -> None:
    refused(lender, drive, f"{node.name} is mounted at {mounted}: unmount it first")
    tool("umount", mounted)
    assert lender.bind(drive.pci, VFIO).changed


def test_mounted_where_it_cannot_be_seen(lender: Lender, drive: Controller, mounted: Path) -> None:
    """In the mount name space of another process alone."""
    with subprocess.Popen(["unshare", "-m", "sleep", "60"]) as elsewhere:
        try:
            while not Path(f"/proc/{elsewhere.pid}/comm").read_text().startswith("sleep"):
                time.sleep(0.05)
            tool("umount", mounted)
            refused(lender, drive, "claimed exclusively")
        finally:
            elsewhere.kill()


def test_swap(lender: Lender, drive: Controller, node: Path) -> None:
    tool("mkswap", node)
    tool("swapon", node)
    try:
        refused(lender, drive, f"{node.name} is swap space: swapoff it first")
    finally:
        tool("swapoff", node)


def test_held_by_device_mapper(lender: Lender, drive: Controller, node: Path) -> None:
    module("dm_mod", "/dev/mapper/control")
    tool("dmsetup", "create", "--noudevsync", "upper", "--table", f"0 2048 linear {node} 0")
    try:
        refused(lender, drive, f"{node.name} is held by dm-", "(upper)")
    finally:
        tool("dmsetup", "remove", "--noudevsync", "upper")


def test_behind_a_loop_device(lender: Lender, drive: Controller, node: Path) -> None:
    module("loop", "/dev/loop-control")
    tool("losetup", "/dev/loop0", node)
    try:
        refused(lender, drive, f"{node.name} is behind loop0: losetup -d it first")
    finally:
        tool("losetup", "-d", "/dev/loop0")


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDONLY | os.O_EXCL], ids=["open", "claimed"])
def test_block_device_open(lender: Lender, drive: Controller, node: Path, flags: int) -> None:
    descriptor = os.open(node, flags)
    try:
        refused(lender, drive, f"process {os.getpid()} (", f"has {node} open")
    finally:
        os.close(descriptor)


def test_character_devices_open(lender: Lender, drive: Controller) -> None:
    for name in (drive.name, drive.namespaces[0].character):
        descriptor = os.open(f"/dev/{name}", os.O_RDONLY)
        try:
            refused(lender, drive, f"has /dev/{name} open")
        finally:
            os.close(descriptor)


def test_open_under_another_name(lender: Lender, drive: Controller, node: Path) -> None:
    other = Path("/dev/other-name")
    os.mknod(other, 0o600 | 0o060000, node.stat().st_rdev)
    descriptor = os.open(other, os.O_RDONLY)
    try:
        refused(lender, drive, f"has {node} open")
    finally:
        os.close(descriptor)
        other.unlink()


@contextmanager
def mapping_of(file: Path) -> Iterator[ctypes.Array[ctypes.c_char]]:
    """Its first page, shared and writable. mmap of Python keeps a descriptor, so it is libc's."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    size, rights = ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ | mmap.PROT_WRITE
    descriptor = os.open(file, os.O_RDWR)
    place = libc.mmap(None, size, rights, mmap.MAP_SHARED, descriptor, ctypes.c_long(0))
    os.close(descriptor)
    assert place != ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno())
    try:
        yield (ctypes.c_char * mmap.PAGESIZE).from_address(place)
    finally:
        libc.munmap(place, size)


def test_mapped_without_a_descriptor(lender: Lender, drive: Controller, node: Path) -> None:
    """What is written to the mapping reaches the drive only as long as the driver has it."""
    with mapping_of(node) as mapped:
        mapped[0] = b"x"
        refused(lender, drive, f"process {os.getpid()} (", f"has {node} mapped: end the process")
    assert lender.bind(drive.pci, VFIO).changed


def test_mapped_by_a_node_that_was_renamed(lender: Lender, drive: Controller, node: Path) -> None:
    before, after = Path("/dev/before"), Path("/dev/after")
    os.mknod(before, 0o600 | 0o060000, node.stat().st_rdev)
    with mapping_of(before):
        before.rename(after)
        refused(lender, drive, f"has {node} mapped")
        after.unlink()
        refused(lender, drive, f"has {node} mapped")


# ---------------------------------------------------------------- the way back is refused


def test_unbind_names_who_has_the_group(lender: Lender, drive: Controller) -> None:
    bound = lender.bind(drive.pci, VFIO)
    descriptor = os.open(str(bound.node), os.O_RDWR)
    try:
        with pytest.raises(BusyError, match=rf"process {os.getpid()} .* has {bound.node} open"):
            lender.unbind(drive.pci)
    finally:
        os.close(descriptor)
    assert lender.unbind(drive.pci).driver == "nvme"


# linux/vfio.h: _IO(';', 100 + n)
_SET_IOMMU, _SET_CONTAINER, _GET_DEVICE = 0x3B66, 0x3B68, 0x3B6A
_TYPE1 = 1


def _device_descriptor(drive: Controller, group_node: str) -> int:
    """A descriptor of the device alone, as a program that closes the rest would have."""
    container, group = os.open("/dev/vfio/vfio", os.O_RDWR), os.open(group_node, os.O_RDWR)
    fcntl.ioctl(group, _SET_CONTAINER, struct.pack("i", container))
    fcntl.ioctl(container, _SET_IOMMU, _TYPE1)
    libc = ctypes.CDLL(None, use_errno=True)
    device = libc.ioctl(group, ctypes.c_ulong(_GET_DEVICE), drive.pci.encode())
    assert device >= 0, os.strerror(ctypes.get_errno())
    os.close(group)
    os.close(container)
    return int(device)


def test_a_device_that_is_open_without_its_group(lender: Lender, drive: Controller) -> None:
    bound = lender.bind(drive.pci, VFIO)
    device = _device_descriptor(drive, str(bound.node))
    try:
        with pytest.raises(BusyError, match=rf"{bound.node} is in use.*process {os.getpid()} "):
            lender.unbind(drive.pci)
    finally:
        os.close(device)


def test_a_write_that_hangs_is_left_behind(
    lender: Lender, drive: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel waits for the device's descriptor to be closed."""
    bound = lender.bind(drive.pci, VFIO)
    device = _device_descriptor(drive, str(bound.node))
    hasty = Lender(timeout=4)
    monkeypatch.setattr(hasty, "programs", lambda controller: [])
    began = time.monotonic()
    try:
        with pytest.raises(DeadlineError, match=f"unbind {drive.pci} from vfio-pci in 4 s"):
            hasty.unbind(drive.pci)
        assert time.monotonic() - began < 10
        with pytest.raises(BusyError, match="another ringway"):
            hasty.unbind(drive.pci)
    finally:
        os.close(device)
    until(lambda: controllers(HOST)[1].driver != "vfio-pci")
    assert lender.unbind(drive.pci).driver == "nvme"


# ---------------------------------------------------------------- killed, commands, boots


def until(reached: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)


_BORROWER = """
import sys, time, ringway.nvme
with ringway.nvme.borrowed(sys.argv[1]) as loan:
    print(loan.node, flush=True)
    time.sleep(300)
"""


@pytest.fixture
def borrower(drive: Controller) -> Iterator[subprocess.Popen[str]]:
    """Another process that has borrowed the drive."""
    command = [sys.executable, "-c", _BORROWER, drive.pci]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("/dev/vfio/")
        yield process
        process.kill()


def test_a_killed_owner_is_stood_in_for(
    borrower: subprocess.Popen[str],
    drive: Controller,
    node: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["nvme", "list"]) == 0
    assert f"borrowed by process {borrower.pid}" in capsys.readouterr().out
    with (
        pytest.raises(BusyError, match=f"process {borrower.pid} has borrowed"),
        borrowed(drive.pci),
    ):
        pass
    borrower.send_signal(signal.SIGKILL)
    borrower.wait()
    assert not node.exists()
    assert run(["nvme", "list"]) == 0
    assert "left by a process that was killed" in capsys.readouterr().err
    assert node.is_block_device()
    assert not Lender().journal.addresses()


def test_the_next_borrower_stands_in_too(
    borrower: subprocess.Popen[str], drive: Controller, node: Path
) -> None:
    borrower.kill()
    borrower.wait()
    with borrowed(drive.pci) as loan:
        assert loan.changed
    assert node.is_block_device()


def test_command(drive: Controller, node: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    script = f"test ! -e {node} && test -e /dev/vfio/{drive.iommu_group} && touch {proof}; exit 7"
    assert run(["nvme", "bind", drive.pci, "--", "sh", "-c", script]) == 7
    assert proof.exists()
    assert node.is_block_device()


def test_a_command_that_is_told_to_end(drive: Controller, node: Path) -> None:
    ringway_tool = [sys.executable, "-c", "from ringway.cli import main; main()"]
    command = [*ringway_tool, "nvme", "bind", drive.pci, "--", "sleep", "300"]
    with subprocess.Popen(command) as process:
        until(lambda: not node.exists())
        time.sleep(2)
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert node.is_block_device()


def test_what_was_bound_for_good_stays_until_restore(
    drive: Controller, node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["nvme", "bind", drive.pci, "--json"]) == 0
    document = msgspec.json.decode(capsys.readouterr().out)
    assert document["node"] == f"/dev/vfio/{drive.iommu_group}"
    assert run(["nvme", "list"]) == 0
    assert not node.exists()
    assert run(["nvme", "restore"]) == 0
    assert node.is_block_device()
    assert run(["nvme", "restore"]) == 0
    assert "nothing to give back" in capsys.readouterr().out


def test_the_journal_of_an_earlier_boot_is_dropped(lender: Lender, drive: Controller) -> None:
    lender.bind(drive.pci, VFIO)
    journal = Journal(HOST)
    record = journal.read(drive.pci)
    assert record
    journal.write(msgspec.structs.replace(record, boot="another", owner=this_process(HOST)))
    assert lender.recover() == ([], [])
    assert not journal.addresses()
    assert controllers(HOST)[1].driver == "vfio-pci"
    assert lender.unbind(drive.pci).driver == "nvme"


def test_one_at_a_time(lender: Lender, drive: Controller) -> None:
    with (
        Journal(HOST).locked(drive.pci, 1),
        pytest.raises(RingwayError, match="another ringway"),
    ):
        ringway.nvme.Lender(timeout=0.5).bind(drive.pci, VFIO)
