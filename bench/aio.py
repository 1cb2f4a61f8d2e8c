"""(d) asyncio with 256 reads in flight, beside a thread pool and beside our own batch."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from cached import batches
from cli import alone
from pairs import Figure, Goal, Run, ratio, timed
from session import FINE, Session

import ringway

NAME = "aio"
PATH = "io_uring+fixed+defer"
DEPTH = 256
BS = 4096
#: Operations of one awaited batch, as of one call of the batch it is compared with.
BATCH = 256
#: Reads of each worker between two looks at the clock; the pool is slow.
_SHARE, _POOL_SHARE = 64, 8

_EACH = f"await readinto × {DEPTH}"
_MANY = f"await read_many of {BATCH}"
_POOL = "executor, os.preadv"
_BATCH = f"read_many of {BATCH}"

#: One read of 4 KiB: which of the DEPTH workers asks, and where.
Read = Callable[[int, int], Awaitable[object]]


def measure(session: Session) -> list[Figure]:
    """≥ 20× a thread pool and ≥ 0.5× our batch: 4k random reads of a page-cached file."""
    target = session.cached_file()
    loop = asyncio.new_event_loop()
    dev = loop.run_until_complete(_open(target))
    fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        runs: dict[str, Run] = {
            _EACH: _each(session, loop, dev),
            _POOL: _pool(session, loop, fd),
            _MANY: _many(session, loop, dev),
            _BATCH: batches(session, dev.device, depth=DEPTH),
        }
        samples = session.rounds(NAME, runs, FINE)
    finally:
        loop.run_until_complete(dev.close())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        os.close(fd)
    return [
        ratio(NAME, samples, ours, peer, Goal("≥", least))
        for ours in (_EACH, _MANY)
        for peer, least in ((_POOL, 20), (_BATCH, 0.5))
    ]


async def _open(target: str) -> ringway.AsyncDevice:
    return await ringway.aopen(target, PATH, direct=False, depth=DEPTH)


def _each(session: Session, loop: asyncio.AbstractEventLoop, dev: ringway.AsyncDevice) -> Run:
    memory = dev.alloc(DEPTH * BS)
    buffers = [memory[i * BS : (i + 1) * BS] for i in range(DEPTH)]
    return _workers(session, loop, lambda i, offset: dev.readinto(offset, buffers[i]), _SHARE)


def _pool(session: Session, loop: asyncio.AbstractEventLoop, fd: int) -> Run:
    memory = [[bytearray(BS)] for _ in range(DEPTH)]

    def read(i: int, offset: int) -> Awaitable[object]:
        return loop.run_in_executor(None, os.preadv, fd, memory[i], offset)

    return _workers(session, loop, read, _POOL_SHARE)


def _workers(session: Session, loop: asyncio.AbstractEventLoop, read: Read, share: int) -> Run:
    """DEPTH coroutines, each awaiting one read after another."""
    drawn: list[list[int]] = session.draw(BS, DEPTH * share).reshape(DEPTH, share).tolist()

    async def worker(index: int) -> None:
        for offset in drawn[index]:
            await read(index, offset)

    async def together() -> None:
        await asyncio.gather(*map(worker, range(DEPTH)))

    def step() -> int:
        loop.run_until_complete(together())
        return DEPTH * share

    return lambda seconds: timed(step, seconds)


def _many(session: Session, loop: asyncio.AbstractEventLoop, dev: ringway.AsyncDevice) -> Run:
    memory = dev.alloc(BATCH * BS)
    count = 16 * BATCH

    async def read_all() -> None:
        offsets = session.draw(BS, count)
        for first in range(0, count, BATCH):
            done = await dev.read_many(offsets[first : first + BATCH], memory, BS)
            done.raise_for_status()

    def step() -> int:
        loop.run_until_complete(read_all())
        return count

    return lambda seconds: timed(step, seconds)


if __name__ == "__main__":
    alone(measure)
