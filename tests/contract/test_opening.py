"""Devices read-only, closed, and opened again."""

from __future__ import annotations

import pytest

import ringway


def test_a_closed_device_can_be_opened_again_at_once(open_case, block):
    """Also a block device, which nobody else may hold meanwhile."""
    for _ in range(3):
        with open_case() as dev:
            dev.readinto(0, dev.alloc(block))
            with dev.queue(4) as queue:
                queue.wait(queue.read(0, dev.alloc(block)))


def test_a_read_only_device(open_case, block):
    with open_case(writable=False) as dev:
        buffer = dev.alloc(block)
        assert not dev.writable
        assert dev.readinto(0, buffer) == block
        dev.flush()
        writes = {
            "write": lambda: dev.write(0, buffer),
            "write_many": lambda: dev.write_many([0], buffer),
            "discard": lambda: dev.discard(0, block),
            "write_zeroes": lambda: dev.write_zeroes(0, block),
        }
        for call in writes.values():
            with pytest.raises(ringway.ReadOnlyError, match="writable"):
                call()
        with dev.queue(1) as queue, pytest.raises(ringway.ReadOnlyError):
            queue.write(0, buffer)


def test_a_closed_device(open_case, block):
    dev = open_case()
    buffer = dev.alloc(block)
    dev.close()
    dev.close()
    assert repr(dev).startswith("<closed ")
    for call in (
        lambda: dev.readinto(0, buffer),
        lambda: dev.write(0, buffer),
        lambda: dev.read(0, block),
        lambda: dev.read_many([0], buffer),
        lambda: dev.flush(),
        lambda: dev.queue(1),
    ):
        with pytest.raises(ringway.ClosedError, match="closed"):
            call()
    buffer[:] = 1


def test_a_queue_of_a_closed_device(open_case, block):
    dev = open_case()
    queue = dev.queue(4)
    queue.read(0, dev.alloc(block))
    dev.close()
    assert queue.in_flight == 0
    for call in (queue.submit, queue.reap, lambda: queue.read(0, dev.alloc(block))):
        with pytest.raises(ringway.ClosedError):
            call()
    queue.close()
