"""fio verifies what ringway wrote, and ringway reads what fio wrote."""

from __future__ import annotations

import shutil
import struct
import subprocess

import numpy as np
import pytest

BS = 4096
COUNT = 64


@pytest.fixture(scope="module")
def fio(disk):
    """Runs a fio job on one file; its complaints, or "" where it has none."""
    if shutil.which("fio") is None:
        pytest.skip("fio is not installed")

    def run(path, *options):
        words = ["fio", "--name=t", f"--filename={path}", f"--size={BS * COUNT}", f"--bs={BS}"]
        words += ["--verify=pattern", "--verify_pattern=%o0xdeadbeef", "--verify_fatal=1"]
        done = subprocess.run([*words, *options], capture_output=True, text=True, cwd=disk)
        return done.stdout + done.stderr if done.returncode else ""

    return run


@pytest.fixture(scope="module")
def fio_file(disk, fio):
    """A file that fio wrote."""
    path = disk / "from-fio"
    assert fio(path, "--rw=randwrite", "--end_fsync=1", "--do_verify=0") == ""
    return path


@pytest.fixture(scope="module")
def pattern():
    """COUNT blocks, each full of its offset and a constant, as fio's pattern says."""
    pieces = [struct.pack("<Q", index * BS) + b"\xde\xad\xbe\xef" for index in range(COUNT)]
    text = b"".join((piece * BS)[:BS] for piece in pieces)
    return np.frombuffer(text, np.uint8).reshape(COUNT, BS)


def only_files(case):
    if case.kind != "file":
        pytest.skip("fio and ringway meet in a file")


def test_fio_verifies_what_ringway_wrote(case, open_case, disk, fio, pattern, random):
    only_files(case)
    path = disk / "from-ringway"
    path.write_bytes(bytes(COUNT * BS))
    order = random.permutation(COUNT)
    with open_case(path) as dev:
        data = dev.alloc(COUNT * BS)
        data[:] = pattern[order].reshape(-1)
        dev.write_many(order * BS, data, BS, depth=16).raise_for_status()
        dev.flush()
    assert fio(path, "--rw=read") == ""


def test_fio_would_notice(disk, fio, pattern):
    path = disk / "wrong"
    path.write_bytes(pattern[::-1].tobytes())
    assert "verify" in fio(path, "--rw=read")


def test_ringway_reads_what_fio_wrote(case, open_case, fio_file, pattern, random):
    only_files(case)
    order = random.permutation(COUNT)
    with open_case(fio_file, writable=False) as dev:
        buffer = dev.alloc(COUNT * BS)
        dev.read_many(order * BS, buffer, BS, depth=16).raise_for_status()
    assert np.array_equal(buffer.reshape(COUNT, BS), pattern[order])
