"""Every wait has a deadline, kept on a disk that does not answer; waiting takes no CPU."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager

import pytest

import ringway

#: Longer and shorter than a wait that comes back to look after signals.
TIMEOUTS = [0.03, 0.12]


@pytest.fixture
def in_time(patience):
    """Expects DeadlineError, not before the timeout and soon after it."""

    @contextmanager
    def check(timeout, match=None):
        start = time.monotonic()
        with pytest.raises(ringway.DeadlineError, match=match):
            yield
        late = time.monotonic() - start - timeout
        assert -0.001 < late < 0.1 * patience()

    return check


@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_a_sync_read_ends_in_time(stuck, stuck_disk, in_time, block, timeout):
    buffer = stuck.alloc(block)
    with in_time(timeout):
        stuck.readinto(0, buffer, timeout=timeout)
    stuck_disk.release()
    assert stuck.readinto(0, buffer) == block


def test_the_timeout_of_the_device(spec, slow, stuck_disk, in_time, block):
    with ringway.open(stuck_disk.target, spec, timeout=0.12) as dev:
        buffer = dev.alloc(block)
        dev.readinto(0, buffer)
        stuck_disk.stick()
        with in_time(0.12):
            dev.readinto(0, buffer)
        stuck_disk.release()


@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_a_batch_ends_in_time(stuck, stuck_disk, in_time, block, timeout):
    buffer = stuck.alloc(4 * block)
    with in_time(timeout, "0 of 4 operations"):
        stuck.read_many([0, block, 0, block], buffer, block, timeout=timeout)
    stuck_disk.release()
    assert stuck.read_many([0], buffer[:block]).result.tolist() == [block]


def test_waits_of_a_queue_end_in_time(stuck, stuck_disk, in_time, block):
    """What is in flight stays in flight, and can be waited for again."""
    with stuck.queue(4) as queue:
        token = queue.read(0, stuck.alloc(block))
        with in_time(0.06):
            queue.wait(token, timeout=0.06)
        with in_time(0.02):
            queue.wait_any([token], timeout=0.02)
        with in_time(0):
            queue.wait_all([token], timeout=0)
        assert queue.in_flight == 1
        stuck_disk.release()
        assert queue.wait(token).result == block


def test_a_reap_returns_what_there_is_in_time(stuck, stuck_disk, block):
    with stuck.queue(4) as queue:
        queue.read(0, stuck.alloc(block))
        start = time.monotonic()
        assert len(queue.reap(min=1, timeout=0.06)) == 0
        assert time.monotonic() - start >= 0.06
        stuck_disk.release()
        assert len(queue.reap(min=1)) == 1


async def test_an_await_ends_in_time(slow, spec, stuck_disk, in_time, block):
    async with ringway.aopen(stuck_disk.target, spec) as dev:
        buffer = dev.alloc(block)
        stuck_disk.stick()
        with in_time(0.1):
            await dev.readinto(0, buffer, timeout=0.1)
        with in_time(0.1):
            await dev.read_many([0, 0], dev.alloc(2 * block), timeout=0.1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(dev.readinto(0, buffer), 0.05)
        stuck_disk.release()
        assert await dev.readinto(0, buffer) == block


@pytest.fixture
def idle(sanitized):
    """Expects that what runs in it takes next to no CPU of this thread."""

    @contextmanager
    def check():
        start = time.thread_time()
        yield
        assert time.thread_time() - start < (0.1 if sanitized else 0.04)

    return check


def test_waiting_takes_no_cpu(stuck, idle, block):
    if "iopoll" in stuck.options:
        pytest.skip("iopoll polls")
    buffer = stuck.alloc(block)
    with idle(), pytest.raises(ringway.DeadlineError):
        stuck.readinto(0, buffer, timeout=0.15)
    with idle(), stuck.queue(4) as queue:
        queue.read(0, buffer)
        queue.reap(timeout=0.15)
        with pytest.raises(ringway.DeadlineError):
            queue.close(timeout=0)


async def test_awaiting_takes_no_cpu(slow, spec, stuck_disk, idle, block):
    async with ringway.aopen(stuck_disk.target, spec) as dev:
        stuck_disk.stick()
        with idle(), pytest.raises(ringway.DeadlineError):
            await dev.readinto(0, dev.alloc(block), timeout=0.15)
        stuck_disk.release()
