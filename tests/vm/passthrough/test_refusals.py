"""NVMe passthrough: targets and callers that are refused, and the sentences they get."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import ringway

MIB = 1 << 20
PATH = "io_uring_cmd"

on_plain_drives = pytest.mark.emulated_nvme(topology="contract")
on_formats = pytest.mark.emulated_nvme(topology="formats")
on_zones = pytest.mark.emulated_nvme(topology="zoned")


@on_plain_drives
@pytest.mark.parametrize("path", ["posix", "libaio", "io_uring"])
def test_other_paths_name_this_one(small, path):
    with pytest.raises(ringway.ArgumentError, match=f"path {PATH} serves it; name {small.block}"):
        ringway.open(small.char, path)


@on_plain_drives
def test_the_block_device_names_the_namespace_too(small):
    with ringway.open(small.block, PATH) as dev, ringway.open(small.char, PATH) as same:
        assert (dev.path, dev.size) == (PATH, same.size)
        assert dev.read(0, 4096) == same.read(0, 4096)
    with ringway.open(small.block) as dev:
        assert dev.path == "io_uring"
    with pytest.raises(ringway.ArgumentError, match="is none"):
        ringway.open(small.controller, PATH)


@on_plain_drives
def test_there_is_no_page_cache(small):
    with pytest.raises(ringway.UnsupportedError, match="direct=True"):
        ringway.open(small.char, direct=False)


@on_plain_drives
def test_who_holds_the_block_device_keeps_writers_out(small):
    holder = os.open(small.block, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(ringway.BusyError, match="exclusively"):
            ringway.open(small.char, writable=True)
        with ringway.open(small.char) as dev:
            dev.read(0, 4096)
    finally:
        os.close(holder)
    with ringway.open(small.char, writable=True), pytest.raises(OSError, match="busy") as caught:
        os.open(small.block, os.O_RDONLY | os.O_EXCL)
    assert caught.value.errno == errno.EBUSY
    os.close(os.open(small.block, os.O_RDONLY | os.O_EXCL))


def _partition(block, sectors):
    """A partition table with one entry; its node."""
    entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0x82, b"\xff\xff\xff", 2048, sectors)
    with open(block, "r+b") as disk:
        disk.write(bytes(446) + entry + bytes(48) + b"\x55\xaa")
        disk.flush()
        os.fsync(disk.fileno())
        fcntl.ioctl(disk, 0x125F)  # BLKRRPART
    return f"{block}p1"


@on_plain_drives
def test_a_partition_in_use_keeps_writers_out(small):
    if shutil.which("mkswap") is None:
        pytest.skip("mkswap is not installed")
    node = _partition(small.block, 16 * MIB // 512)
    subprocess.run(["mkswap", node], check=True, capture_output=True)
    subprocess.run(["swapon", node], check=True)
    try:
        with pytest.raises(ringway.BusyError, match=f"{Path(node).name} is swap space"):
            ringway.open(small.char, PATH, writable=True)
        with pytest.raises(ringway.ArgumentError, match=f"a part of one: name {small.char}"):
            ringway.open(node, PATH)
    finally:
        subprocess.run(["swapoff", node], check=True)
    with ringway.open(small.char, PATH, writable=True) as dev:
        dev.write_zeroes(0, 17 * MIB)
    with open(small.block, "rb") as disk:
        fcntl.ioctl(disk, 0x125F)


@on_plain_drives
def test_no_permission(small):
    """Neither by the node's mode nor, before Linux 6.2, by the kernel's own rule."""
    code = """
        import os, sys, ringway
        ringway.open("null:1MiB").close()  # all modules are in: others may not read them
        os.setgid(65534)
        os.setuid(65534)
        try:
            ringway.open(sys.argv[1])
        except ringway.NotPermittedError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), small.char]

    def told():
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "no permission to send NVMe commands" in told()
    os.chmod(small.char, 0o666)
    release = tuple(map(int, os.uname().release.split(".")[:2]))
    assert ("CAP_SYS_ADMIN" in told()) is (release < (6, 2))
    os.chmod(small.char, 0o600)


@on_formats
def test_formats(namespaces):
    """Plain ones work; those with metadata are refused, whether it lies apart or inside."""
    for ns in namespaces:
        if ns.nsid <= 2:
            with ringway.open(ns.char, writable=True) as dev:
                assert dev.block_size == (512, 4096)[ns.nsid - 1]
                dev.write(0, b"x" * 8192)
                assert dev.read(0, 8192) == b"x" * 8192
            continue
        with pytest.raises(ringway.UnsupportedError) as caught:
            ringway.open(ns.char)
        text = {
            3: "8 bytes of metadata to each block of 512 (in a buffer of their own, with prot",
            4: "16 bytes of metadata to each block of 4096 (in a buffer of their own)",
            5: "64 bytes of metadata to each block of 4096 (extended blocks)",
        }[ns.nsid]
        assert text in str(caught.value)


@on_zones
def test_a_zoned_namespace_is_refused(namespaces):
    zoned = next(ns for ns in namespaces if ns.fact("queue/zoned") != "none")
    plain = next(ns for ns in namespaces if ns.fact("queue/zoned") == "none")
    with pytest.raises(ringway.UnsupportedError, match="zoned"):
        ringway.open(zoned.char)
    with ringway.open(plain.char) as dev:
        assert dev.path == PATH
