"""Sync calls: the same on every path."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

import ringway

#: Kinds of targets that are not made by these tests.
EXISTING = ("nvme", "ng", "polled")


def test_it_is_what_was_asked_for(dev, case, extent):
    assert "+".join((dev.path, *dev.options)) == case.spec
    assert dev.direct is case.direct
    assert dev.writable
    # A device that was there before can be larger than those made for these tests.
    assert dev.size == extent or (case.kind in EXISTING and dev.size > extent)
    assert dev.why.startswith("asked for by name")
    assert case.spec in repr(dev)


def test_limits_are_powers_of_two(dev, block):
    for limit in (dev.block_size, dev.memory_alignment):
        assert limit.bit_count() == 1
    assert block % dev.block_size == 0
    assert dev.max_transfer % dev.block_size == 0
    assert dev.max_depth >= 1


def test_what_was_written_is_read(dev, case, block, random):
    data = dev.alloc(block)
    data[:] = np.frombuffer(random.bytes(block), np.uint8)
    back = dev.alloc(block)
    assert dev.write(3 * block, data) == block
    assert dev.readinto(3 * block, back) == block
    assert not case.keeps_data or np.array_equal(back, data)


def test_a_long_operation(dev, case, random, extent):
    """The whole device as a rule, longer than one takes at once: split and put together again."""
    data = dev.alloc(extent)
    data[:] = np.frombuffer(random.bytes(extent), np.uint8)
    back = dev.alloc(extent)
    assert dev.write(0, data) == extent
    assert dev.readinto(0, back) == extent
    assert not case.keeps_data or np.array_equal(back, data)


def test_read_copies_any_bytes(dev, case, block, random):
    data = random.bytes(2 * block)
    dev.write(block, data)
    got = dev.read(block + 100, block)
    assert len(got) == block
    assert not case.keeps_data or got == data[100 : block + 100]


def test_read_ends_at_the_end(dev):
    assert len(dev.read(dev.size - 100, 1000)) == 100
    assert dev.read(dev.size, 1000) == b""


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, "u1")])
def test_data_that_is_not_aligned_is_copied(dev, case, block, random, make):
    data = make(b"." + random.bytes(block))[1:]
    assert dev.write(0, data) == block
    assert not case.keeps_data or dev.read(0, block) == bytes(data)


def test_memory_of_the_caller(dev, case, block, random):
    """Any writable memory on the alignment that the device asks for."""
    data = random.bytes(block)
    dev.write(0, data)
    with mmap.mmap(-1, 2 * block) as memory:
        view = memoryview(memory)
        assert dev.readinto(0, view[block:]) == block
        assert not case.keeps_data or view[block:] == data
        view.release()


def test_numpy_types_keep_their_shape(dev, case, block, random):
    numbers = np.frombuffer(dev.alloc(block), np.int64).reshape(8, -1)
    expected = random.integers(0, 1 << 62, numbers.shape)
    dev.write(0, expected.tobytes())
    assert dev.readinto(0, numbers) == block
    assert not case.keeps_data or np.array_equal(numbers, expected)


def test_flush(dev):
    assert dev.flush() is None


def test_write_zeroes(dev, case, block):
    dev.write(0, b"x" * 3 * block)
    dev.write_zeroes(block, block)
    expected = b"x" * block + bytes(block) + b"x" * block
    assert not case.keeps_data or dev.read(0, 3 * block) == expected


def test_discard(dev, case, block):
    """What is discarded is undefined; what lies beside it is not."""
    dev.write(0, b"x" * 3 * block)
    try:
        dev.discard(block, block)
    except ringway.UnsupportedError as error:
        assert "discard" in str(error)
    assert not case.keeps_data or dev.read(0, block) == b"x" * block
    assert not case.keeps_data or dev.read(2 * block, block) == b"x" * block


def test_a_timeout_of_zero_is_an_answer_too(dev, block):
    buffer = dev.alloc(block)
    try:
        assert dev.readinto(0, buffer, timeout=0) == block
    except ringway.DeadlineError as error:
        assert "time" in str(error)
    assert dev.readinto(0, buffer) == block
