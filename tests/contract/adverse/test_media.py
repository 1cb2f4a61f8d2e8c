"""What gives way under an open device: a file cut short, a disk that is full or gone."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import ExitStack

import numpy as np
import pytest

import ringway

COUNT = 16


@pytest.fixture(params=[True, False], ids=["direct", "buffered"])
def direct(request):
    return request.param


@pytest.fixture
def cut(spec, direct, disk, block):
    """A device over a file of COUNT blocks of which four are left."""
    path = disk / "cut-short"
    path.write_bytes(b"x" * COUNT * block)
    with ringway.open(path, spec, direct=direct) as dev:
        os.truncate(path, 4 * block)
        yield dev


def test_a_read_behind_the_new_end(cut, block):
    assert cut.readinto(3 * block, cut.alloc(block)) == block
    for offset, length in ((8 * block, block), (2 * block, 4 * block)):
        with pytest.raises(ringway.TruncatedError, match="shorter than it was") as caught:
            cut.readinto(offset, cut.alloc(length))
        assert caught.value.errno == errno.ENODATA


def test_a_batch_over_the_new_end(cut, block):
    """The others complete; the error names the first that failed."""
    done = cut.read_many(np.arange(COUNT)[::-1] * block, cut.alloc(COUNT * block), block)
    assert done.failed == COUNT - 4
    assert done.result.tolist() == [-errno.ENODATA] * (COUNT - 4) + [block] * 4
    text = f"operation 0 of {COUNT}; {COUNT - 4} failed"
    with pytest.raises(ringway.TruncatedError, match=text):
        done.raise_for_status()
    assert cut.read_many([0], cut.alloc(block)).raise_for_status().failed == 0


def test_a_queue_over_the_new_end(cut, block):
    with cut.queue(4) as queue:
        tokens = [queue.read(0, cut.alloc(block)), queue.read(8 * block, cut.alloc(block))]
        good, bad = queue.wait_all(tokens)
        assert good.raise_for_status().result == block
        with pytest.raises(ringway.TruncatedError, match="shorter"):
            bad.raise_for_status()
        queue.read(8 * block, cut.alloc(block))
        with pytest.raises(ringway.TruncatedError):
            queue.reap().raise_for_status()


async def test_awaits_over_the_new_end(spec, direct, disk, block):
    path = disk / "cut-short"
    path.write_bytes(b"x" * COUNT * block)
    async with ringway.aopen(path, spec, direct=direct) as dev:
        os.truncate(path, 4 * block)
        reads = [dev.readinto(at * block, dev.alloc(block)) for at in range(COUNT)]
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert results[:4] == [block] * 4
        assert {type(error) for error in results[4:]} == {ringway.TruncatedError}
        done = await dev.read_many(np.arange(COUNT) * block, dev.alloc(COUNT * block))
        assert done.failed == COUNT - 4
        with pytest.raises(ringway.TruncatedError):
            done.raise_for_status()


# ------------------------------------------------------------ a disk is full


@pytest.fixture(scope="module")
def small(file_system):
    with file_system("small", 2) as folder:
        yield folder


@pytest.fixture
def full(small, spec, direct):
    """A device with room for more than its disk has."""
    path = small / "data"
    path.unlink(missing_ok=True)
    with open(path, "wb") as file:
        file.truncate(8 << 20)
    with ringway.open(path, spec, writable=True, direct=direct) as dev:
        yield dev
    path.unlink()


def test_writes_to_a_full_disk(full, block):
    data = full.alloc(4 << 20)
    data[:] = 3
    done = full.write_many(np.arange(1024) * 2 * block, data, block, depth=16)
    written = done.result == block
    assert 0 < written.sum() < 1024
    assert set(done.result[~written].tolist()) == {-errno.ENOSPC}
    with pytest.raises(ringway.NoSpaceError, match="the disk is full"):
        done.raise_for_status()
    with pytest.raises(ringway.NoSpaceError, match="the disk is full"):
        full.write((8 << 20) - block, data[:block])
    for index in np.flatnonzero(written)[:50]:
        assert full.read(int(index) * 2 * block, block) == b"\3" * block


# ------------------------------------------------------------ a disk is gone


def test_a_disk_that_is_gone(spec, direct, file_system, shut_down, block):
    """Every call fails at once, says so, and the device can be closed."""
    with file_system("gone", 4) as folder:
        path = folder / "data"
        path.write_bytes(bytes(64 * block))
        with ringway.open(path, spec, writable=True, direct=direct) as dev:
            buffer = dev.alloc(4 * block)
            dev.write(0, buffer)
            shut_down(folder)
            errors = set()
            for call in (
                lambda: dev.write(0, buffer),
                lambda: dev.write_many([0, block], buffer).raise_for_status(),
                lambda: dev.flush(),
                lambda: dev.write_zeroes(0, block),
            ):
                with pytest.raises(ringway.RingwayError) as caught:
                    call()
                errors.add(caught.value.errno)
            assert errors <= {errno.EIO, errno.ENODEV, errno.EROFS}
            with dev.queue(4) as queue:
                assert queue.wait(queue.write(0, buffer)).result < 0


def test_a_block_device_whose_disk_is_gone(spec, file_system, loop_device, shut_down, block):
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(file_system("lost", 4))
        (folder / "image").write_bytes(bytes(1 << 20))
        device = cleanup.enter_context(loop_device(str(folder / "image")))
        dev = cleanup.enter_context(ringway.open(device, spec, writable=True))
        shut_down(folder)
        with pytest.raises(ringway.RingwayError) as caught:
            dev.write(0, dev.alloc(block))
        assert caught.value.errno in (errno.EIO, errno.ENODEV, errno.ENXIO)
