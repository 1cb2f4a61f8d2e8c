"""NVMe passthrough: what drives answer that fail, are reset or detached."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

import ringway

MIB = 1 << 20
PATH = "io_uring_cmd"

on_plain_drives = pytest.mark.emulated_nvme(topology="contract")
on_faulty_drives = pytest.mark.emulated_nvme(topology="faults")
on_many_drives = pytest.mark.emulated_nvme(topology="many")


@on_faulty_drives
def test_a_media_error_has_a_name(numbered):
    """Blocks 1000 to 1007 cannot be read: sync, in a queue, in a batch."""
    bad = 1000 * 512
    with ringway.open(numbered(1).char, PATH) as dev:
        buffer = dev.alloc(16 * 4096)
        with pytest.raises(ringway.RingwayError, match="Unrecovered Read Error") as caught:
            dev.readinto(bad, buffer[:512])
        assert caught.value.errno == errno.EIO
        assert caught.value.status & 0x7FF == 0x281
        assert caught.value.status_name == "Unrecovered Read Error"
        with dev.queue(4) as queue:
            done = queue.wait(queue.read(bad, buffer[:512]))
            assert (done.result, done.status & 0x7FF) == (-errno.EIO, 0x281)
            assert done.status_name == "Unrecovered Read Error"
            fine = queue.wait(queue.read(0, buffer[:512]))
            assert (fine.status, fine.status_name) == (0, "")
        batch = dev.read_many(np.arange(16) * 512 + 995 * 512, buffer[: 16 * 512], 512)
        assert np.flatnonzero(batch.result < 0).tolist() == list(range(5, 13))
        with pytest.raises(ringway.RingwayError, match="operation 5 of 16; 8 failed") as caught:
            batch.raise_for_status()
        assert caught.value.status_name == "Unrecovered Read Error"


@on_faulty_drives
async def test_an_awaited_media_error_has_a_name(numbered):
    async with ringway.aopen(numbered(1).char, PATH) as dev:
        buffer = dev.alloc(16 * 512)
        with pytest.raises(ringway.RingwayError, match="Unrecovered Read Error") as caught:
            await dev.readinto(1000 * 512, buffer[:512])
        assert caught.value.status & 0x7FF == 0x281
        batch = await dev.read_many(np.arange(16) * 512 + 995 * 512, buffer, 512)
        with pytest.raises(ringway.RingwayError, match="operation 5 of 16") as caught:
            batch.raise_for_status()
        assert caught.value.status_name == "Unrecovered Read Error"


@on_faulty_drives
def test_a_write_that_fails_once(numbered):
    with ringway.open(numbered(2).char, PATH, writable=True) as dev:
        with pytest.raises(ringway.RingwayError, match="Write Fault") as caught:
            dev.write(1000 * 4096, bytes(4096))
        assert caught.value.status & 0x7FF == 0x280
        assert dev.write(1000 * 4096, bytes(4096)) == 4096


@on_faulty_drives
def test_a_flush_that_fails(numbered):
    with ringway.open(numbered(4).char, PATH, writable=True) as dev:
        dev.write(0, bytes(4096))
        with pytest.raises(ringway.RingwayError, match=r"flush: .*NVMe status") as caught:
            dev.flush()
        assert caught.value.status


@on_plain_drives
def test_a_reset_of_the_controller_is_survived(small):
    """Commands that the reset cancels are sent again."""
    knob = Path("/sys/class/block", Path(small.block).name, "device/reset_controller")
    with ringway.open(small.char, PATH) as dev:
        buffer = dev.alloc(256 * 4096)
        offsets = np.arange(256) * 4096
        expected = dev.read(0, MIB)
        reset = threading.Timer(0.05, knob.write_text, ["1"])
        reset.start()
        while reset.is_alive():
            dev.read_many(offsets, buffer, 4096, depth=64, timeout=60).raise_for_status()
        reset.join()
        assert bytes(buffer) == expected


def _shared_namespace():
    """The character device of a namespace that two controllers share, and these."""
    for folder in Path("/sys/class/nvme-subsystem").iterdir():
        controllers = [link for link in folder.glob("nvme[0-9]") if (link / "cntlid").exists()]
        nodes = list(folder.resolve().glob("ng*"))
        if len(controllers) > 1 and nodes:
            return f"/dev/{nodes[0].name}", sorted(controllers)
    pytest.fail("no namespace is shared here")


def _detach(controller, nsid):
    """Namespace Attachment: Base Specification 2.0, 5.28; the NVMe status."""
    listed = np.zeros(2048, np.uint16)
    listed[:2] = 1, int((controller / "cntlid").read_text())
    words = [1, 0, 0, 0, 0, 0, 0, 0]  # CDW10: detach; timeout and result
    head = (0x15, 0, 0, nsid, 0, 0, 0, listed.ctypes.data, 0, listed.nbytes)
    command = bytearray(struct.pack("<BBHIIIQQ10I", *head, *words))
    fd = os.open(f"/dev/{controller.name}", os.O_RDONLY)
    try:
        return fcntl.ioctl(fd, 0xC0484E41, command)  # NVME_IOCTL_ADMIN_CMD
    finally:
        os.close(fd)


def _read_on(dev):
    """The kernel hears of it a moment later."""
    for _ in range(100):
        dev.read(0, 4096)


@on_many_drives
def test_a_namespace_of_two_controllers_that_loses_both():
    target, controllers = _shared_namespace()
    with ringway.open(target, f"{PATH}+fixed", writable=True) as dev:
        dev.write(0, b"x" * MIB)
        assert dev.read(0, MIB) == b"x" * MIB
        assert _detach(controllers[0], 1) == 0
        assert dev.read(0, MIB) == b"x" * MIB
        assert _detach(controllers[1], 1) == 0
        with pytest.raises(ringway.DeviceGoneError):
            _read_on(dev)
