"""Memory in flight stays, whatever Python forgets meanwhile, and is free again afterwards."""

from __future__ import annotations

import asyncio
import gc
import mmap
import time
import weakref

import numpy as np
import pytest

import ringway
from ringway._native import ffi, lib


def new_memory(length):
    """Memory of the caller: an array, and a reference that tells whether it is still there."""
    owner = mmap.mmap(-1, length)
    return np.frombuffer(owner, np.uint8), weakref.ref(owner)


def test_a_buffer_is_held_once_more_in_flight(stuck, stuck_disk, block):
    out = ffi.new("struct rw_buffer **")
    assert lib.rw_buffer_create(block, out) == 0
    view = np.frombuffer(ffi.buffer(lib.rw_buffer_memory(out[0]), block), np.uint8)
    with stuck.queue(4) as queue:
        tokens = [queue.read(0, view), queue.read(0, view)]
        queue.submit()
        assert lib.rw_buffer_holders(out[0]) == 3
        stuck_disk.release()
        queue.wait_all(tokens)
        assert lib.rw_buffer_holders(out[0]) == 1
    assert lib.rw_buffer_drop(out[0]) == 1


def test_a_buffer_in_a_queue_outlives_its_last_reference(stuck, stuck_disk, buffers, block):
    before = buffers()
    with stuck.queue(4) as queue:
        buffer = stuck.alloc(block)
        address = buffer.ctypes.data
        token = queue.read(0, buffer)
        queue.submit()
        del buffer
        gc.collect()
        assert buffers() == before + 1
        others = [stuck.alloc(block) for _ in range(8)]
        assert address not in [other.ctypes.data for other in others]
        del others
        stuck_disk.release()
        assert queue.wait(token).result == block
        assert buffers() == before


def test_a_buffer_of_an_abandoned_read_outlives_it(stuck, stuck_disk, buffers, block):
    before = buffers()
    with pytest.raises(ringway.DeadlineError):
        stuck.readinto(0, stuck.alloc(block), timeout=0.01)
    gc.collect()
    assert buffers() == before + 1
    stuck_disk.release()
    wait_until_free(stuck, buffers, before, block)


def test_the_buffer_of_an_abandoned_batch_outlives_it(stuck, stuck_disk, buffers, block):
    before = buffers()
    with pytest.raises(ringway.DeadlineError):
        stuck.read_many([0] * 8, stuck.alloc(8 * block), block, depth=4, timeout=0.01)
    gc.collect()
    assert buffers() == before + 1
    stuck_disk.release()
    wait_until_free(stuck, buffers, before, block)


def wait_until_free(dev, buffers, before, block):
    """What was abandoned is taken in by later calls on the same thread."""
    for _ in range(100):
        dev.readinto(0, dev.alloc(block))
        if buffers() == before:
            return
    assert buffers() == before


async def test_the_buffer_of_a_cancelled_await_outlives_it(slow, spec, stuck_disk, buffers, block):
    before = buffers()
    async with ringway.aopen(stuck_disk.target, spec) as dev:
        stuck_disk.stick()
        reads = [dev.readinto(0, dev.alloc(block)), dev.read_many([0, 0], dev.alloc(2 * block))]
        await asyncio.sleep(0.01)
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        del read, reads
        gc.collect()
        held = buffers()
        stuck_disk.release()
        assert held == before + 2
    gc.collect()
    assert buffers() == before


async def test_a_buffer_whose_operation_waits_for_its_turn_stays(
    slow, spec, stuck_disk, buffers, block
):
    """In a batch, behind a full queue: nothing of it is known to the core yet."""
    before = buffers()
    async with ringway.aopen(stuck_disk.target, spec, depth=1) as dev:
        stuck_disk.stick()
        reads = [
            dev.readinto(0, dev.alloc(block)),
            dev.readinto(0, dev.alloc(block)),
            dev.readinto(0, dev.alloc(block), timeout=10),
            dev.read_many([0, 0], dev.alloc(2 * block)),
        ]
        gc.collect()
        held = buffers()
        stuck_disk.release()
        assert held == before + 4
        await asyncio.gather(*reads)
        del reads
    gc.collect()
    assert buffers() == before


async def test_memory_of_a_cancelled_await_outlives_it(slow, spec, stuck_disk, block):
    memory, alive = new_memory(block)
    async with ringway.aopen(stuck_disk.target, spec) as dev:
        stuck_disk.stick()
        read = dev.readinto(0, memory)
        await asyncio.sleep(0.01)
        read.cancel()
        del memory
        await asyncio.gather(read, return_exceptions=True)
        del read
        gc.collect()
        assert alive() is not None
        stuck_disk.release()
    gc.collect()
    assert alive() is None


def test_memory_of_the_caller_stays_in_a_queue(stuck, stuck_disk, block):
    memory, alive = new_memory(block)
    with stuck.queue(4) as queue:
        token = queue.read(0, memory)
        queue.submit()
        del memory
        gc.collect()
        assert alive() is not None
        stuck_disk.release()
        queue.wait(token)
        gc.collect()
        assert alive() is None


@pytest.mark.parametrize("use", ["readinto", "read_many"])
def test_memory_of_the_caller_stays_when_a_call_gives_up(stuck, stuck_disk, block, use):
    """For good: nobody asks any more when the device is done with it, and it does write to it."""
    memory, alive = new_memory(block)
    memory[:] = 1
    arguments = (0, memory) if use == "readinto" else ([0], memory)
    with pytest.raises(ringway.DeadlineError):
        getattr(stuck, use)(*arguments, timeout=0.01)
    del arguments, memory
    gc.collect()
    assert alive()[:] == b"\1" * block
    stuck_disk.release()
    end = time.monotonic() + 10
    while alive()[:] != bytes(block) and time.monotonic() < end:
        time.sleep(0.001)
    assert alive()[:] == bytes(block)


def test_registered_memory_stays(stuck, stuck_disk, block):
    memory, alive = new_memory(block)
    with stuck.queue(4) as queue:
        token = queue.read(0, stuck.register(memory))
        queue.submit()
        del memory
        gc.collect()
        assert alive() is not None
        stuck_disk.release()
        assert queue.wait(token).result == block


def test_a_copy_of_a_buffer_stays(stuck, stuck_disk, block):
    """It is memory of numpy's, although it is a Buffer too."""
    with stuck.queue(4) as queue:
        copy = stuck.alloc(2 * block).copy()
        alive = weakref.ref(copy)
        start = -copy.ctypes.data % block
        token = queue.read(0, copy[start : start + block])
        queue.submit()
        del copy
        gc.collect()
        assert alive() is not None
        stuck_disk.release()
        assert queue.wait(token).result == block


def test_closing_too_early_reserves_the_memory(spec, slow, stuck_disk, buffers, block):
    """Closed with operations in flight: what they may still write to is never used again."""
    memory, alive = new_memory(block)
    before = buffers()
    dev = ringway.open(stuck_disk.target, spec)
    queue = dev.queue(4)
    stuck_disk.stick()
    queue.read(0, dev.alloc(block))
    queue.read(0, memory)
    queue.submit()
    with pytest.raises(ringway.DeadlineError, match="in flight"):
        dev.close(timeout=0.05)
    del memory, queue, dev
    gc.collect()
    stuck_disk.release()
    gc.collect()
    assert buffers() == before + 1
    assert alive() is not None


def test_closing_a_queue_too_early_leaves_the_device(stuck, stuck_disk, buffers, block):
    before = buffers()
    queue = stuck.queue(4)
    queue.read(0, stuck.alloc(block))
    queue.submit()
    with pytest.raises(ringway.DeadlineError, match="in flight"):
        queue.close(timeout=0.05)
    queue.close()
    stuck_disk.release()
    assert buffers() == before + 1
    assert stuck.readinto(0, stuck.alloc(block)) == block
