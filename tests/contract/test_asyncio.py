"""asyncio: awaits over one queue of the event loop's thread, the same on every path."""

from __future__ import annotations

import asyncio
import mmap

import numpy as np
import pytest

import ringway


@pytest.fixture
def aopen_case(case, targets):
    """Opens a device for asyncio as the case says."""

    def open_it(target=None, **options):
        options = {"writable": True, "direct": case.direct, **options}
        return ringway.aopen(target or targets.of(case.kind), case.spec, **options)

    return open_it


async def test_write_and_read(aopen_case, case, block, random, extent):
    async with aopen_case() as dev:
        data, back = dev.alloc(block), dev.alloc(block)
        data[:] = np.frombuffer(random.bytes(block), np.uint8)
        assert await dev.write(block, data) == block
        assert await dev.readinto(block, back) == block
        assert not case.keeps_data or np.array_equal(back, data)
        got = await dev.read(block + 7, 100)
        assert not case.keeps_data or got == bytes(data[7:107])
        assert dev.size >= extent
        assert dev.path == case.spec.split("+")[0]
        assert dev.why == dev.device.why


async def test_operations_without_data(aopen_case, case, block):
    async with aopen_case() as dev:
        data = dev.alloc(block)
        data[:] = 1
        await dev.write(0, data)
        await dev.flush()
        await dev.write_zeroes(0, block)
        assert not case.keeps_data or await dev.read(0, block) == bytes(block)
        try:
            await dev.discard(0, block)
        except ringway.UnsupportedError as error:
            assert "discard" in str(error)


async def test_hundreds_of_awaits_over_a_shallow_queue(aopen_case, case, block, random, extent):
    async with aopen_case(depth=16) as dev:
        data = dev.alloc(extent)
        data[:] = np.frombuffer(random.bytes(extent), np.uint8)
        await dev.write(0, data)
        offsets = (random.integers(0, extent // block, 400) * block).tolist()
        buffer = dev.alloc(400 * block)
        parts = [buffer[i * block : (i + 1) * block] for i in range(400)]
        done = await asyncio.gather(*map(dev.readinto, offsets, parts))
        assert done == [block] * 400
        if case.keeps_data:
            wanted = [data[offset : offset + block] for offset in offsets]
            assert np.array_equal(buffer, np.concatenate(wanted))


async def test_batches_and_awaits_at_once(aopen_case, case, block, random):
    async with aopen_case(depth=8) as dev:
        data = dev.alloc(64 * block)
        data[:] = np.frombuffer(random.bytes(64 * block), np.uint8)
        (await dev.write_many(np.arange(64) * block, data, block)).raise_for_status()
        buffers = [dev.alloc(64 * block) for _ in range(3)]
        alone = dev.alloc(block)
        *batches, one = await asyncio.gather(
            *(dev.read_many(np.arange(64) * block, buffer) for buffer in buffers),
            dev.readinto(block, alone),
        )
        assert one == block
        for done, buffer in zip(batches, buffers, strict=True):
            assert done.result.tolist() == [block] * 64
            assert not case.keeps_data or np.array_equal(buffer, data)


async def test_an_empty_batch(aopen_case, block):
    async with aopen_case() as dev:
        assert len(await dev.read_many([], dev.alloc(block), block)) == 0


async def test_memory_of_the_caller(aopen_case, case, block, random):
    data = random.bytes(block)
    with mmap.mmap(-1, block) as memory:
        async with aopen_case() as dev:
            memory[:] = data
            assert await dev.write(0, memory) == block
            memory[:] = bytes(block)
            assert await dev.readinto(0, memory) == block
            assert not case.keeps_data or memory[:] == data


async def test_cancelled_awaits_leave_the_device_usable(aopen_case, block):
    async with aopen_case(depth=8) as dev:
        buffer = dev.alloc(40 * block)
        tasks = [
            asyncio.ensure_future(dev.readinto(0, buffer[i * block : (i + 1) * block]))
            for i in range(40)
        ]
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results[1::2] == [block] * 20
        assert all(isinstance(r, asyncio.CancelledError) for r in results[::2])
        assert await dev.readinto(0, buffer[:block]) == block


async def test_a_cancelled_batch_leaves_the_device_usable(aopen_case, block):
    async with aopen_case(depth=4) as dev:
        batch = asyncio.ensure_future(dev.read_many(np.zeros(100, int), dev.alloc(100 * block)))
        await asyncio.sleep(0)
        batch.cancel()
        await asyncio.gather(batch, return_exceptions=True)
        assert await dev.readinto(0, dev.alloc(block)) == block


async def test_a_generous_timeout_does_not_matter(aopen_case, block):
    async with aopen_case() as dev:
        assert await dev.readinto(0, dev.alloc(block), timeout=60) == block
        assert await asyncio.wait_for(dev.readinto(0, dev.alloc(block)), 60) == block


async def test_two_devices_in_one_loop(aopen_case, case, block, disk):
    second = f"mem:{64 * block}"
    async with aopen_case() as one, ringway.aopen(second) as two:
        buffer = one.alloc(block)
        buffer[:] = 5
        await one.write(0, buffer)
        for _ in range(20):
            buffer = one.alloc(block)
            await one.readinto(0, buffer)
            await two.write(0, buffer)
        assert not case.keeps_data or await two.read(0, block) == b"\x05" * block


async def test_bad_arguments_are_refused_at_once(aopen_case, block):
    async with aopen_case() as dev:
        buffer = dev.alloc(block)
        with pytest.raises(ringway.RangeError, match="beyond the end"):
            dev.readinto(dev.size, buffer)
        with pytest.raises(ringway.RangeError):
            dev.readinto(-1, buffer)
        with pytest.raises(ringway.ArgumentError, match="do not fit"):
            dev.read_many([0, 0], buffer, block)
        with pytest.raises(ringway.ArgumentError, match="timeout"):
            dev.readinto(0, buffer, timeout=-1)
        with pytest.raises(TypeError):
            dev.readinto(0, 5)
        assert await dev.readinto(0, buffer) == block


async def test_a_batch_with_a_bad_offset_fails_as_a_whole(aopen_case, block):
    async with aopen_case() as dev:
        with pytest.raises(ringway.RangeError, match="beyond the end"):
            await dev.read_many([0, dev.size, 0], dev.alloc(3 * block), block)
        assert await dev.readinto(0, dev.alloc(block)) == block


async def test_a_closed_device_refuses(aopen_case, block):
    dev = await aopen_case()
    await dev.close()
    await dev.close()
    for start in (dev.readinto, dev.write):
        with pytest.raises(ringway.ClosedError):
            start(0, dev.alloc(block))
    with pytest.raises(ringway.ClosedError):
        await dev.read(0, block)


async def test_closing_lets_what_is_in_flight_complete(aopen_case, block):
    async with aopen_case(depth=4) as dev:
        buffer = dev.alloc(20 * block)
        parts = [buffer[i * block : (i + 1) * block] for i in range(20)]
        reads = [dev.readinto(0, part) for part in parts]
    assert [await read for read in reads] == [block] * 20
