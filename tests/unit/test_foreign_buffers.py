"""Buffers in type only, in memory the core does not know: Python keeps it while in flight."""

from __future__ import annotations

import gc
import mmap
import weakref
from collections.abc import Callable

import numpy as np
import pytest

import ringway

#: The core has room for so many regions.
REGIONS = 64


def copied() -> ringway.Buffer:
    """numpy makes the result of an operation in the type of its operand, in memory of its own."""
    return ringway.alloc(4096).copy()


def beyond_the_room() -> ringway.Buffer:
    """Registered when the core had no room for another region."""
    room = [ringway.register(mmap.mmap(-1, 4096)) for _ in range(REGIONS)]
    buffer = ringway.register(np.zeros(4096, np.uint8))
    assert room
    return buffer


@pytest.mark.parametrize("make", [copied, beyond_the_room])
def test_it_works_and_is_not_registered(make: Callable[[], ringway.Buffer]) -> None:
    buffer = make()
    assert isinstance(buffer, ringway.Buffer)
    assert not buffer.registered
    with ringway.open("mem:1MiB", direct=False) as dev:
        dev.write(0, np.full(4096, 7, np.uint8))
        for _ in range(2):
            buffer[:] = 0
            assert dev.readinto(0, buffer) == 4096
            assert buffer.min() == 7


@pytest.mark.parametrize("make", [copied, beyond_the_room])
@pytest.mark.parametrize("used_before", [False, True])
def test_it_lives_while_in_flight(make: Callable[[], ringway.Buffer], used_before: bool) -> None:
    with ringway.open("mem:1MiB", direct=False) as dev, dev.queue(depth=2) as queue:
        buffer = make()
        if used_before:
            dev.readinto(0, buffer)
        alive = weakref.ref(buffer)
        token = queue.read(0, buffer)
        del buffer
        gc.collect()
        assert alive() is not None
        queue.wait(token, timeout=1.0)
        gc.collect()
        assert alive() is None
