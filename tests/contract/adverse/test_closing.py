"""Closing waits for what is in flight; so does leaving: a thread, garbage, a program that end."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import ringway


def test_closing_a_device_waits(spec, slow, stuck_disk, block):
    dev = ringway.open(stuck_disk.target, spec)
    buffer = dev.alloc(block)
    buffer[:] = 1
    queue = dev.queue(4)
    stuck_disk.stick()
    queue.read(0, buffer)
    queue.submit()
    stuck_disk.release_after(0.05)
    dev.close()
    assert not buffer.any()


def test_closing_a_queue_waits(stuck, stuck_disk, block):
    buffer = stuck.alloc(block)
    buffer[:] = 1
    with stuck.queue(4) as queue:
        queue.read(0, buffer)
        queue.submit()
        stuck_disk.release_after(0.05)
    assert not buffer.any()


async def test_closing_an_async_device_waits(slow, spec, stuck_disk, block):
    async with ringway.aopen(stuck_disk.target, spec) as dev:
        stuck_disk.stick()
        read = dev.readinto(0, dev.alloc(block))
        stuck_disk.release_after(0.05)
    assert await read == block


async def test_closing_too_early_fails_what_is_awaited(slow, spec, stuck_disk, block):
    dev = await ringway.aopen(stuck_disk.target, spec)
    stuck_disk.stick()
    reads = [dev.readinto(0, dev.alloc(block)), dev.read_many([0], dev.alloc(block))]
    with pytest.raises(ringway.DeadlineError):
        await dev.close(timeout=0.05)
    for read in reads:
        with pytest.raises(ringway.ClosedError):
            await read


def test_a_queue_nobody_refers_to_waits(stuck, stuck_disk, buffers, block):
    before = buffers()
    queue = stuck.queue(4)
    queue.read(0, stuck.alloc(block))
    queue.submit()
    stuck_disk.release_after(0.05)
    del queue
    gc.collect()
    assert buffers() == before


def test_a_queue_that_garbage_collection_finds_elsewhere_waits(stuck, stuck_disk, buffers, block):
    """The collector may run in any thread."""
    if "defer" in stuck.options:
        pytest.skip("a ring with option defer answers only its own thread: the memory stays held")
    before = buffers()
    queue = stuck.queue(4)
    queue.cycle = queue
    queue.read(0, stuck.alloc(block))
    queue.submit()
    del queue
    stuck_disk.release()
    collector = threading.Thread(target=gc.collect)
    collector.start()
    collector.join()
    assert buffers() == before


def test_a_device_nobody_refers_to_waits(spec, slow, stuck_disk, buffers, block):
    before = buffers()
    dev = ringway.open(stuck_disk.target, spec)
    queue = dev.queue(4)
    stuck_disk.stick()
    queue.read(0, dev.alloc(block))
    queue.submit()
    gone = weakref.ref(dev)
    stuck_disk.release_after(0.05)
    del dev, queue
    gc.collect()
    assert gone() is None
    assert buffers() == before


def test_a_thread_that_ends_waits_for_what_it_abandoned(stuck, stuck_disk, buffers, block):
    before = buffers()

    def give_up():
        with pytest.raises(ringway.DeadlineError):
            stuck.readinto(0, stuck.alloc(block), timeout=0.01)

    thread = threading.Thread(target=give_up)
    thread.start()
    stuck_disk.release_after(0.1)
    thread.join()
    end = time.monotonic() + 5  # the thread's last steps come after join
    while buffers() != before and time.monotonic() < end:
        time.sleep(0.01)
    assert buffers() == before


def test_a_call_that_finds_the_device_closed_keeps_its_memory(spec, slow, stuck_disk, block):
    """Closed by another thread, too early: the read may still write."""
    dev = ringway.open(stuck_disk.target, spec)
    memory = np.frombuffer(bytearray(2 * block), np.uint8)
    start = -memory.ctypes.data % block
    alive = weakref.ref(memory)
    errors = []

    def read(memory):
        try:
            dev.readinto(0, memory, timeout=10)
        except ringway.RingwayError as error:
            errors.append(type(error))

    stuck_disk.stick()
    thread = threading.Thread(target=read, args=(memory[start : start + block],))
    thread.start()
    time.sleep(0.02)
    del memory
    with pytest.raises((ringway.DeadlineError, ringway.BusyError)):
        dev.close(timeout=0.15)
    thread.join()
    del thread
    gc.collect()
    assert errors == [ringway.ClosedError]
    assert alive() is not None
    stuck_disk.release()
    dev.close()


# ------------------------------------------------------------ the program ends

LEAVING = """
import asyncio, mmap, sys, threading, time
import ringway

def memories():
    return dev.alloc(4096), mmap.mmap(-1, 4096)

def give_up(call, *arguments):
    try:
        call(*arguments, timeout=0.01)
    except ringway.DeadlineError:
        pass

def read_in_thread(memory):
    try:
        dev.readinto(0, memory)
    except ringway.ClosedError:
        pass

async def leave_awaits():
    global other
    other = await ringway.aopen(sys.argv[1], sys.argv[2])
    for memory in memories():
        other.readinto(0, memory)
    other.read_many([0, 0], other.alloc(8192))
    await asyncio.sleep(0.01)

dev = ringway.open(sys.argv[1], sys.argv[2])
dev.readinto(0, dev.alloc(4096))
print("ready", flush=True)
sys.stdin.readline()
queue = dev.queue(4)
for memory in memories():
    give_up(dev.readinto, 0, memory)
    give_up(dev.read_many, [0] * 2, memory, 512)
    queue.read(0, memory)
    threading.Thread(target=read_in_thread, args=(memory,), daemon=True).start()
queue.submit()
asyncio.run(leave_awaits())
print("left", flush=True)
"""


def test_a_program_ends_in_order(spec, slow, stuck_disk):
    """With operations in flight everywhere: exit code 0 and not a word."""
    words = [sys.executable, "-c", LEAVING, stuck_disk.target, spec]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            stuck_disk.stick()
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "left\n", process.stderr.read()
            stuck_disk.release()
            assert process.communicate(timeout=30) == ("", "")
        finally:
            stuck_disk.release()
    assert process.returncode == 0
