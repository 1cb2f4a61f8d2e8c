"""Queues over memory: how completions are handed out to those who wait."""

from __future__ import annotations

import pytest

import ringway


@pytest.fixture
def dev():
    with ringway.open("mem:1MiB") as dev:
        yield dev


@pytest.fixture
def queue(dev):
    with dev.queue(8) as queue:
        yield queue


def test_tokens_differ_for_ever(dev, queue):
    buffer = dev.alloc(512)
    tokens = [queue.wait(queue.read(0, buffer)).token for _ in range(100)]
    assert len(set(tokens)) == 100
    assert all(token > 0 for token in tokens)


def test_what_a_wait_came_across_is_reaped_later(dev, queue):
    tokens = queue.read_many([0] * 5, dev.alloc(5 * 512), 512).tolist()
    queue.wait(tokens[-1])
    kept = queue.reap(min=0, max=2)
    assert len(kept) == 2
    rest = queue.reap(min=0)
    assert sorted([*kept.token, *rest.token]) == tokens[:-1]
    assert len(queue.reap(min=0)) == 0


def test_a_reap_mixes_kept_and_new(dev, queue):
    first = queue.read_many([0] * 3, dev.alloc(3 * 512), 512).tolist()
    queue.wait(first[0])
    second = queue.read(0, dev.alloc(512))
    assert sorted(queue.reap(min=3).token) == sorted([*first[1:], second])


def test_no_more_than_asked_for(dev, queue):
    queue.read_many([0] * 4, dev.alloc(4 * 512), 512)
    assert len(queue.reap(max=0)) == 0
    assert len(queue.reap(min=9, max=3)) == 3
    assert len(queue.reap(min=9)) == 1


def test_wait_all_of_nothing(queue):
    assert queue.wait_all([]) == []


def test_memory_is_kept_while_in_flight_only(dev, queue):
    token = queue.read(0, bytearray(512))
    assert queue.in_flight == 1
    assert queue._memory[token] is not None
    queue.wait(token)
    assert queue._memory == {}


@pytest.mark.parametrize("offset", [-1, 1 << 64])
def test_an_offset_out_of_range_takes_no_slot(dev, queue, offset):
    with pytest.raises(ringway.RangeError):
        queue.read(offset, dev.alloc(512))
    assert queue.in_flight == 0


def test_a_queue_closes_when_a_with_block_fails(dev):
    queue = dev.queue(2)
    queue.read(0, dev.alloc(512))
    with pytest.raises(KeyError), queue:
        raise KeyError
    with pytest.raises(ringway.ClosedError):
        queue.submit()
    assert repr(queue).startswith("<closed Queue")
