"""Arguments that cannot be: the right exception, a sentence that helps, and nothing is changed."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

import ringway


@pytest.fixture
def aligned(dev):
    if dev.block_size == 1:
        pytest.skip("a buffered device takes any offset, length and memory")
    return dev


def test_a_misaligned_offset_names_the_alignment(aligned, block):
    with pytest.raises(ringway.ArgumentError, match="offset") as caught:
        aligned.readinto(1, aligned.alloc(block))
    assert f"a multiple of {aligned.block_size}" in str(caught.value)


def test_a_misaligned_length_names_the_alignment(aligned, block):
    with pytest.raises(ringway.ArgumentError, match="length") as caught:
        aligned.readinto(0, aligned.alloc(block)[:-1])
    assert f"a multiple of {aligned.block_size}" in str(caught.value)
    with pytest.raises(ringway.ArgumentError, match="length"):
        aligned.write(0, b"x")
    with pytest.raises(ringway.ArgumentError, match="length"):
        aligned.write_zeroes(0, 1)


def test_misaligned_memory_names_the_alignment(aligned, block):
    if aligned.memory_alignment == 1:
        pytest.skip("this device takes any memory")
    with pytest.raises(ringway.ArgumentError, match="memory") as caught:
        aligned.readinto(0, aligned.alloc(2 * block)[1 : block + 1])
    assert f"a multiple of {aligned.memory_alignment}" in str(caught.value)


def test_a_misaligned_write_changes_nothing(aligned, case, block):
    before = aligned.read(0, 4 * block)
    for offset, length in ((1, block), (0, block + 1)):
        with pytest.raises(ringway.ArgumentError):
            aligned.write(offset, b"?" * length)
    assert not case.keeps_data or aligned.read(0, 4 * block) == before


@pytest.mark.parametrize("use", ["readinto", "write", "read_many", "discard", "write_zeroes"])
def test_beyond_the_end_names_the_size(dev, block, use):
    calls = {
        "readinto": lambda at: dev.readinto(at, dev.alloc(block)),
        "write": lambda at: dev.write(at, dev.alloc(block)),
        "read_many": lambda at: dev.read_many([at], dev.alloc(block), block),
        "discard": lambda at: dev.discard(at, block),
        "write_zeroes": lambda at: dev.write_zeroes(at, block),
    }
    for offset in (dev.size, dev.size - block + dev.block_size, 1 << 62):
        try:
            with pytest.raises(ringway.RangeError, match="beyond the end") as caught:
                calls[use](offset)
        except ringway.UnsupportedError as error:
            pytest.skip(str(error))
        assert str(dev.size) in str(caught.value)


@pytest.mark.parametrize("offset", [-1, -4096, 1 << 64, 1 << 100])
def test_an_impossible_offset(dev, block, offset):
    with pytest.raises(ringway.ArgumentError):
        dev.readinto(offset, dev.alloc(block))
    with pytest.raises(ringway.ArgumentError):
        dev.write(offset, dev.alloc(block))
    with pytest.raises(ringway.ArgumentError):
        dev.read(offset, block)
    with pytest.raises(ringway.ArgumentError):
        dev.write_zeroes(offset, block)
    with dev.queue(1) as queue, pytest.raises(ringway.ArgumentError):
        queue.read(offset, dev.alloc(block))


def test_zero_bytes(dev, block):
    for call in (
        lambda: dev.readinto(0, dev.alloc(block)[:0]),
        lambda: dev.write(0, b""),
        lambda: dev.write_zeroes(0, 0),
        lambda: dev.discard(0, 0),
    ):
        try:
            with pytest.raises(ringway.ArgumentError, match="zero bytes"):
                call()
        except ringway.UnsupportedError as error:
            assert "discard" in str(error)
    assert dev.read(0, 0) == b""


@pytest.mark.parametrize("memory", [5, "text", None, [0] * 4096, object()])
def test_what_is_no_memory(dev, memory):
    for use in (dev.readinto, dev.write):
        with pytest.raises(TypeError, match="expected memory"):
            use(0, memory)


def test_memory_that_cannot_be_filled(dev, block):
    for memory in (bytes(block), np.zeros((block, 2), np.uint8)[:, 0]):
        with pytest.raises(ringway.ArgumentError, match="cannot be used"):
            dev.readinto(0, memory)
    memory = mmap.mmap(-1, block, prot=mmap.PROT_READ)
    with memory, pytest.raises(ringway.ArgumentError, match="cannot be used"):
        dev.readinto(0, memory)


@pytest.mark.parametrize("offset", [0.5, "0", None, b"0"])
def test_what_is_no_offset(dev, block, offset):
    with pytest.raises(TypeError):
        dev.readinto(offset, dev.alloc(block))


@pytest.mark.parametrize("timeout", [-1, 1e10, float("inf"), float("nan")])
def test_an_impossible_timeout(dev, open_case, block, timeout):
    with pytest.raises(ringway.ArgumentError, match="timeout"):
        dev.readinto(0, dev.alloc(block), timeout=timeout)
    with pytest.raises(ringway.ArgumentError, match="timeout"):
        open_case(timeout=timeout)
