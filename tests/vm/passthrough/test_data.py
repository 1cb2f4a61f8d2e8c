"""NVMe passthrough: what it knows of a drive, and data in and out, in every way to open it."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ringway
from ringway.doctor import examine

KIB = 1 << 10
MIB = 1 << 20
PATH = "io_uring_cmd"
SPECS = [
    PATH,
    f"{PATH}+fixed",
    f"{PATH}+sqpoll",
    f"{PATH}+iopoll",
    f"{PATH}+defer",
    f"{PATH}+fixed+iopoll",
    f"{PATH}+fixed+defer",
]

#: 512-byte blocks and MDTS 5 (128 KiB), 4096-byte blocks and MDTS 3 (32 KiB), poll queues.
pytestmark = pytest.mark.emulated_nvme(topology="contract")


def random_bytes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, count, np.uint8)


# -------------------------------------------------------------------- facts


def test_the_automatic_choice_takes_it(drive):
    with ringway.open(drive.char) as dev:
        assert (dev.path, dev.options) == (PATH, ("defer",))
        assert dev.why == "the best path that works here"
        assert dev.direct


def test_it_knows_what_the_kernel_knows(drive):
    with ringway.open(drive.char) as dev:
        assert dev.size == int(drive.fact("size")) * 512
        assert dev.block_size == drive.block_size
        assert dev.max_transfer == int(drive.fact("queue/max_hw_sectors_kb")) * KIB
        assert dev.memory_alignment == int(drive.fact("queue/dma_alignment")) + 1


def test_the_doctor_has_nothing_to_complain_of(drive):
    found = [finding for finding in examine(drive.char) if finding.path == PATH]
    usable = {finding.options for finding in found if finding.usable}
    assert usable == {"direct", "fixed", "sqpoll", "iopoll", "defer"}
    (refused,) = [finding for finding in found if not finding.usable]
    assert (refused.options, "page cache" in refused.reason) == ("buffered", True)


# --------------------------------------------------------------------- data


@pytest.mark.parametrize("spec", SPECS)
def test_the_block_device_reads_what_it_wrote(drive, spec):
    data = random_bytes(MIB)
    with ringway.open(drive.char, spec, writable=True) as dev:
        buffer = dev.alloc(MIB)
        buffer[:] = data
        assert dev.write(MIB, buffer) == MIB
        dev.flush()
    with ringway.open(drive.block, "posix") as dev:
        assert dev.read(MIB, MIB) == data.tobytes()


@pytest.mark.parametrize("spec", SPECS)
def test_it_reads_what_the_block_device_wrote(drive, spec):
    data = random_bytes(MIB, seed=1)
    with ringway.open(drive.block, "posix", writable=True) as dev:
        dev.write(3 * MIB, data)
    with ringway.open(drive.char, spec) as dev:
        buffer = dev.alloc(MIB)
        offsets = np.random.default_rng(2).permutation(256) * 4096
        dev.read_many(3 * MIB + offsets, buffer, 4096, depth=32).raise_for_status()
        assert np.array_equal(buffer.reshape(256, -1), data.reshape(256, -1)[offsets // 4096])
        assert dev.readinto(3 * MIB, buffer) == MIB
        assert np.array_equal(buffer, data)


@pytest.mark.parametrize("spec", [PATH, f"{PATH}+fixed"])
def test_memory_may_begin_anywhere_that_is_aligned(drive, spec):
    """Also across the edges of what is registered at once."""
    data = random_bytes(64 * KIB, seed=3)
    with ringway.open(drive.char, spec, writable=True) as dev:
        buffer = dev.alloc(MIB)
        assert dev.memory_alignment == 4
        for start in (0, 4, 512, 4092, 4096, 96 * KIB, 128 * KIB - 4, 256 * KIB - 4096, 500 * KIB):
            part = buffer[start : start + len(data)]
            part[:] = data
            dev.write(0, part)
            part[:] = 0
            dev.readinto(0, part)
            assert np.array_equal(part, data), start
        with pytest.raises(ringway.ArgumentError, match="multiple of 4 bytes"):
            dev.readinto(0, buffer[2 : 2 + 4096])


def test_long_transfers_are_split_at_mdts(drive):
    with ringway.open(drive.char, PATH, writable=True) as dev, dev.queue(4) as queue:
        length = 5 * dev.max_transfer + dev.block_size
        data = dev.alloc(length)
        data[:] = random_bytes(length, seed=4)
        back = dev.alloc(length)
        queue.wait(queue.write(0, data)).raise_for_status()
        assert queue.counters["parts"] == 6
        queue.wait(queue.read(0, back)).raise_for_status()
        assert queue.counters["parts"] == 12
        assert np.array_equal(data, back)


@pytest.mark.parametrize("spec", [PATH, f"{PATH}+iopoll", f"{PATH}+fixed+defer"])
def test_operations_without_data_go_through_the_ring(drive, spec):
    with ringway.open(drive.char, spec, writable=True) as dev, dev.queue(8) as queue:
        dev.write(0, b"x" * MIB)
        zeroed = queue.write_zeroes(4 * KIB, MIB - 8 * KIB)
        queue.wait(zeroed).raise_for_status()
        expected = b"x" * 4 * KIB + bytes(MIB - 8 * KIB) + b"x" * 4 * KIB
        assert dev.read(0, MIB) == expected
        tokens = [queue.discard(MIB, 16 * MIB), queue.flush(), queue.read(0, dev.alloc(4 * KIB))]
        for done in queue.wait_all(tokens):
            done.raise_for_status()
        assert dev.read(0, MIB) == expected


async def test_awaits(drive):
    data = random_bytes(MIB, seed=5)
    async with ringway.aopen(drive.char, writable=True) as dev:
        buffer = dev.alloc(MIB)
        buffer[:] = data
        blocks = [buffer[at : at + 4096] for at in range(0, MIB, 4096)]
        await asyncio.gather(*(dev.write(i * 4096, part) for i, part in enumerate(blocks)))
        buffer[:] = 0
        await asyncio.gather(*(dev.readinto(i * 4096, part) for i, part in enumerate(blocks)))
        assert np.array_equal(buffer, data)


def test_fio_and_ringway_read_each_other(small, tmp_path):
    if shutil.which("fio") is None:
        pytest.skip("fio is not installed")

    def fio(*options):
        words = ["fio", "--name=t", f"--filename={small.char}", "--ioengine=io_uring_cmd"]
        words += ["--cmd_type=nvme", "--bs=4k", "--size=1m", "--iodepth=8", "--verify=pattern"]
        words += ["--verify_pattern=%o0xdeadbeef", "--verify_fatal=1", *options]
        done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
        return done.stdout + done.stderr if done.returncode else ""

    pieces = [struct.pack("<Q", at) + b"\xde\xad\xbe\xef" for at in range(0, MIB, 4096)]
    pattern = b"".join((piece * 4096)[:4096] for piece in pieces)
    with ringway.open(small.char, PATH, writable=True) as dev:
        dev.write(0, pattern)
    assert fio("--rw=read") == ""
    with ringway.open(small.char, PATH, writable=True) as dev:
        dev.write_zeroes(0, MIB)
    assert "verify" in fio("--rw=read")
    assert fio("--rw=randwrite", "--do_verify=0") == ""
    with ringway.open(small.char, PATH) as dev:
        assert dev.read(0, MIB) == pattern


def test_a_benchmark_runs_on_it(small):
    program = str(Path(sys.executable).with_name("ringway"))
    words = ["bench", small.char, "--path", f"{PATH}+fixed", "--bs", "4k", "--depth", "8"]
    command = [program, *words, "--runtime", "0.5", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["iops"] > 0
