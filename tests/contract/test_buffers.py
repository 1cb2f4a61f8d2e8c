"""Buffers: one memory for numpy, for Python's buffer protocol, for DLPack and for devices."""

from __future__ import annotations

import array
import ctypes
import gc
import mmap

import numpy as np
import pytest

import ringway


@pytest.fixture
def buffer(block):
    return ringway.alloc(4 * block)


def test_a_new_buffer_is_zeroed_aligned_and_known(buffer, block):
    assert not buffer.any()
    assert buffer.ctypes.data % block == 0
    assert buffer.registered
    assert (buffer.dtype, buffer.shape) == (np.uint8, (4 * block,))


def test_memory_that_was_used_before_is_zeroed_again(block):
    for _ in range(3):
        buffer = ringway.alloc(10 * block)
        assert not buffer.any()
        buffer[:] = 255
        del buffer


@pytest.mark.parametrize("length", [1, 5, 4095, 4097, 100_001])
def test_any_length(length):
    buffer = ringway.alloc(length)
    assert len(buffer) == length
    buffer[:] = 1


@pytest.mark.parametrize("length", [0, -1])
def test_no_length_is_refused(length):
    with pytest.raises(ringway.ArgumentError, match="cannot be made"):
        ringway.alloc(length)


def test_more_than_there_is_memory_is_refused():
    with pytest.raises((ringway.NoMemoryError, MemoryError)):
        ringway.alloc(1 << 50)


def test_slices_share_and_know_the_memory(buffer):
    part = buffer[100:200]
    part[:5] = b"hello"
    assert bytes(buffer[100:105]) == b"hello"
    assert isinstance(part, ringway.Buffer)
    assert part.registered
    assert np.shares_memory(part, buffer)


@pytest.mark.parametrize("value", [b"hello", bytearray(b"hello"), memoryview(b"hello")])
def test_bytes_are_copied_in(buffer, value):
    buffer[:5] = value
    assert bytes(buffer[:6]) == b"hello\0"


def test_the_buffer_protocol(buffer):
    view = memoryview(buffer)
    view[:2] = b"ab"
    assert bytes(buffer[:2]) == b"ab"
    assert (view.nbytes, view.readonly) == (len(buffer), False)


def test_a_numpy_view_is_no_copy(buffer):
    numbers = np.frombuffer(buffer, np.float32)
    numbers[0] = 1.5
    assert bytes(buffer[:4]) == np.float32(1.5).tobytes()


def test_dlpack_is_no_copy(buffer):
    other = np.from_dlpack(buffer)
    other[0] = 9
    assert buffer[0] == 9


def test_a_view_keeps_the_memory(block):
    held = ringway.alloc(block)
    view = np.frombuffer(held, np.int64)
    view[:] = 7
    del held
    gc.collect()
    others = [ringway.alloc(block) for _ in range(10)]
    for other in others:
        other[:] = 255
    assert (view == 7).all()


def test_a_copy_is_ordinary_memory(buffer, block):
    """numpy makes it: devices take it, but do not know it."""
    copy = buffer[:block].copy()
    assert not copy.registered
    with ringway.open(f"mem:{block}", direct=False) as dev:
        assert dev.readinto(0, copy) == block
        with dev.queue(4) as queue:
            assert queue.wait(queue.read(0, buffer[:block].copy())).result == block


# ------------------------------------------------------- memory of the caller


class FakeTensor:
    """What a torch tensor offers: DLPack and no array interface."""

    def __init__(self, memory):
        self._memory = memory

    def __dlpack__(self, **options):
        return self._memory.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._memory.__dlpack_device__()


MAKERS = {
    "numpy": lambda n: np.zeros(n, np.uint8),
    "float64": lambda n: np.zeros(n // 8),
    "bytearray": bytearray,
    "mmap": lambda n: mmap.mmap(-1, n),
    "array": lambda n: array.array("B", bytes(n)),
    "ctypes": lambda n: (ctypes.c_char * n)(),
    "dlpack": lambda n: FakeTensor(np.zeros(n, np.uint8)),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_memory_is_registered_in_place(make, block):
    owner = make(2 * block)
    buffer = ringway.register(owner)
    assert buffer.registered
    assert len(buffer) == 2 * block
    buffer[:3] = b"abc"
    seen = owner._memory if isinstance(owner, FakeTensor) else owner
    assert bytes(memoryview(seen).cast("B")[:3]) == b"abc"


def test_registered_memory_is_filled(case, dev, block, random):
    data = random.bytes(block)
    dev.write(0, data)
    owner = mmap.mmap(-1, 2 * block)
    buffer = dev.register(owner)
    assert dev.readinto(0, buffer[block:]) == block
    done = dev.read_many([0], buffer[:block], block)
    assert done.result.tolist() == [block]
    assert not case.keeps_data or owner[:] == 2 * data


def test_overlapping_memory_is_refused(buffer):
    memory = np.zeros(8192, np.uint8)
    held = ringway.register(memory)
    for other in (memory, memory[100:200], buffer):
        with pytest.raises(ringway.RingwayError, match="overlaps") as caught:
            ringway.register(other)
        assert caught.value.errno == 17
    del held
    gc.collect()
    assert ringway.register(memory).registered


def test_registered_memory_stays_while_a_view_does(block):
    owner = bytearray(block)
    part = ringway.register(owner)[10:20]
    gc.collect()
    with pytest.raises(BufferError):
        owner.extend(b"more")  # exported: it must not move
    assert part.registered
    del part
    gc.collect()
    owner.extend(b"more")


@pytest.mark.parametrize(
    "memory", [b"constant", np.zeros((4, 4))[:, 1], memoryview(bytes(8))], ids=type
)
def test_memory_that_cannot_be_used_is_refused(memory):
    with pytest.raises(ringway.ArgumentError, match="cannot be used"):
        ringway.register(memory)


def test_what_is_no_memory_is_refused():
    for thing in (5, "text", None, [1, 2]):
        with pytest.raises(TypeError, match="expected memory"):
            ringway.register(thing)


def test_with_no_room_for_regions_memory_still_works(block):
    """Devices know a limited number of regions; what comes after is used as it is."""
    memory = np.zeros((80, block), np.uint8)
    held = [ringway.register(row) for row in memory]
    assert held[0].registered
    assert not held[-1].registered
    with ringway.open(f"mem:{block}") as dev:
        dev.write(0, b"x" * block)
        assert dev.readinto(0, held[-1]) == block
        with dev.queue(4) as queue:
            queue.wait(queue.write(0, held[-1])).raise_for_status()
    assert bytes(memory[-1]) == b"x" * block
