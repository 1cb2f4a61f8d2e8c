"""asyncio over memory: opening, waiting one's turn, and what a failing core does to awaits."""

from __future__ import annotations

import asyncio
import errno

import pytest

import ringway
from ringway import loop_queue
from ringway._native import lib


async def test_a_device_can_be_awaited_or_entered():
    dev = await ringway.aopen("mem:1MiB")
    assert repr(dev) == "<AsyncDevice mem:1MiB on mem>"
    assert (dev.size, dev.path, dev.block_size) == (1 << 20, "mem", 512)
    await dev.close()
    async with ringway.aopen("mem:1MiB") as dev:
        assert await dev.read(5, 10) == bytes(10)


async def test_what_cannot_be_opened_raises_in_the_await():
    opening = ringway.aopen("mem:nothing")
    with pytest.raises(ringway.ArgumentError):
        await opening
    with pytest.raises(ringway.RangeError, match="depth"):
        await ringway.aopen("mem:1MiB", depth=0)
    with pytest.raises(ringway.RangeError, match="depth"):
        async with ringway.aopen("mem:1MiB", depth=1 << 20):
            pass


async def test_operations_run_in_the_order_they_were_started():
    """More than the queue takes at a time: those that wait do not overtake each other."""
    async with ringway.aopen("mem:1MiB", depth=2) as dev:
        buffers = [dev.alloc(512) for _ in range(20)]
        for index, buffer in enumerate(buffers):
            buffer[:] = index
        await asyncio.gather(*(dev.write(0, buffer) for buffer in buffers))
        assert await dev.read(0, 1) == b"\x13"


async def test_a_failing_core_fails_every_await(monkeypatch):
    async with ringway.aopen("mem:1MiB", depth=2) as dev:
        monkeypatch.setattr(loop_queue, "_reap", lambda *_: lib.rw_explain(0, -errno.EIO, 0))
        starts = [dev.readinto(0, dev.alloc(512)) for _ in range(4)]
        starts.append(dev.read_many([0, 0], dev.alloc(1024)))
        for start in starts:
            with pytest.raises(ringway.RingwayError, match="failed"):
                await start
        monkeypatch.undo()
        assert await dev.readinto(0, dev.alloc(512)) == 512


@pytest.fixture
def nothing_completes(monkeypatch):
    monkeypatch.setattr(loop_queue, "_TICK", 0.01)
    monkeypatch.setattr(loop_queue, "_reap", lambda *_: 0)
    return monkeypatch


async def test_the_timeout_of_the_device_ends_awaits(nothing_completes):
    async with ringway.aopen("mem:1MiB", timeout=0.03, depth=1) as dev:
        starts = [dev.readinto(0, dev.alloc(512)), dev.readinto(0, dev.alloc(512))]
        starts.append(dev.read_many([0], dev.alloc(512)))
        for start in starts:
            with pytest.raises(ringway.DeadlineError):
                await start
        nothing_completes.undo()


async def test_a_timeout_of_a_call_ends_its_await_only(nothing_completes):
    async with ringway.aopen("mem:1MiB") as dev:
        patient = dev.readinto(0, dev.alloc(512))
        with pytest.raises(ringway.DeadlineError):
            await dev.readinto(0, dev.alloc(512), timeout=0.01)
        assert not patient.done()
        nothing_completes.undo()
        assert await patient == 512


async def test_an_await_that_gave_up_while_it_waited_its_turn_never_starts(nothing_completes):
    async with ringway.aopen("mem:1MiB", depth=1) as dev:
        first = dev.readinto(0, dev.alloc(512))
        data = dev.alloc(512)
        data[:] = 1
        with pytest.raises(ringway.DeadlineError):
            await dev.write(0, data, timeout=0.01)
        nothing_completes.undo()
        await first
        assert await dev.read(0, 1) == b"\0"


async def test_a_device_leaves_nothing_behind_in_the_loop():
    loop = asyncio.get_running_loop()
    before = len(loop._scheduled)
    async with ringway.aopen("mem:1MiB") as dev:
        await dev.readinto(0, dev.alloc(512), timeout=50)
    await asyncio.sleep(0)
    assert len([timer for timer in loop._scheduled if not timer.cancelled()]) <= before


async def test_awaits_are_bound_to_their_loop_and_end_with_it():
    """An event loop that is gone cannot be waited on: the device still closes."""
    dev = await ringway.aopen("mem:1MiB")
    start = dev.readinto(0, dev.alloc(512))
    await dev.close()
    assert await start == 512
