"""Threads: a device serves many, a queue serves one; memory is never mixed up."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import threading
import time

import numpy as np
import pytest

import ringway

THREADS = 8


@pytest.fixture
def in_threads():
    """Runs a function in THREADS threads at once; what they return, or the first error."""

    def run(function):
        barrier = threading.Barrier(THREADS)

        def start(index):
            barrier.wait()
            return function(index)

        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(start, range(THREADS)))

    return run


def test_one_device_serves_many_threads(case, open_case, block, in_threads, extent):
    """Each works on a part of its own, by sync calls, batches and a queue."""
    with open_case() as dev:
        part = extent // THREADS // block * block

        def work(index):
            random = np.random.default_rng(index)
            buffer, back = dev.alloc(part), dev.alloc(part)
            offsets = index * part + np.arange(part // block) * block
            for _ in range(2):
                buffer[:] = np.frombuffer(random.bytes(part), np.uint8)
                dev.write(index * part, buffer[:block])
                dev.write_many(offsets, buffer, block).raise_for_status()
                with dev.queue(8) as queue:
                    queue.wait(queue.read(index * part, back)).raise_for_status()
                assert not case.keeps_data or np.array_equal(back, buffer)
                dev.read_many(offsets, back, block, depth=4).raise_for_status()
                assert not case.keeps_data or np.array_equal(back, buffer)

        in_threads(work)


def test_a_queue_refuses_a_second_thread(open_case, block):
    with open_case() as dev, dev.queue(4) as queue:
        token = queue.read(0, dev.alloc(block))
        uses = [
            lambda: queue.read(0, dev.alloc(block)),
            lambda: queue.read_many([0], dev.alloc(block), block),
            queue.submit,
            queue.reap,
            lambda: queue.wait(token),
        ]

        def refused(use):
            with pytest.raises(ringway.WrongThreadError, match="one per thread"):
                use()

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            for use in uses:
                pool.submit(refused, use).result()
        assert queue.wait(token).result == block


def test_a_thread_that_ends_gives_its_queues_back(spec, targets, block):
    with ringway.open(targets.of("file"), spec) as dev:

        def use():
            dev.readinto(0, dev.alloc(block))
            dev.read_many([0, 0], dev.alloc(2 * block), depth=40)

        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()
        end = time.monotonic() + 5  # the thread's last steps come after join
        while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < end:
            time.sleep(0.01)
        assert len(os.listdir("/proc/self/fd")) <= before


def test_closing_under_the_hands_of_other_threads(open_case, block):
    """They get results or are told that the device is closed; nothing else happens."""
    dev = open_case()
    seen = []

    def use():
        buffer = dev.alloc(block)
        try:
            while True:
                assert dev.readinto(0, buffer) == block
        except ringway.ClosedError as error:
            seen.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.01)
    dev.close()
    for thread in threads:
        thread.join()
    assert len(seen) == 4


def test_buffers_come_and_go_under_the_garbage_collector(spec, targets, block, in_threads, buffers):
    """Each thread reads into memory that only the operations in flight still know."""
    gc.collect()
    before = buffers()
    with ringway.open(targets.of("file"), spec, writable=True) as dev:
        data = dev.alloc(16 * block)
        data[:] = np.repeat(np.arange(16, dtype=np.uint8), block)
        dev.write(0, data)

        def work(index):
            random = np.random.default_rng(index)
            for round in range(3):
                with dev.queue(16) as queue:
                    places = random.integers(0, 16, 16)
                    parts = [dev.alloc(block) for _ in places]
                    cycle = [parts]
                    cycle.append(cycle)
                    pairs = list(zip(places, parts, strict=True))
                    tokens = [queue.read(int(at) * block, part) for at, part in pairs]
                    kept = parts[0]
                    del parts, cycle, pairs
                    if round == index % 3:
                        gc.collect()
                    for done in queue.wait_all(tokens):
                        done.raise_for_status()
                    assert (kept == places[0]).all()

        in_threads(work)
        del data
    gc.collect()
    assert buffers() == before
