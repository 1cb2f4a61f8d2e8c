"""Explicit queues: prepare, submit, reap, wait; the same on every path."""

from __future__ import annotations

import errno
import select
import time

import numpy as np
import pytest

import ringway


@pytest.fixture
def queue(dev):
    with dev.queue(depth=16) as queue:
        yield queue


def test_write_and_read_by_token(dev, case, queue, block, random):
    data, back = dev.alloc(block), dev.alloc(block)
    data[:] = np.frombuffer(random.bytes(block), np.uint8)
    written = queue.wait(queue.write(2 * block, data))
    read = queue.wait(queue.read(2 * block, back))
    assert (written.result, read.result) == (block, block)
    assert not case.keeps_data or np.array_equal(back, data)


def test_a_completion_tells_about_its_operation(dev, queue, block):
    token = queue.read(0, dev.alloc(block))
    done = queue.wait(token)
    assert done.token == token
    assert done.raise_for_status() is done
    assert done.status == 0
    assert 0 <= done.latency_ns < 60e9


def test_submit_tells_how_many_were_handed_over(dev, queue, block):
    buffer = dev.alloc(3 * block)
    assert queue.submit() == 0
    for i in range(3):
        queue.read(i * block, buffer[i * block : (i + 1) * block])
    assert queue.submit() == 3
    assert queue.submit() == 0
    assert queue.in_flight == 3
    assert len(queue.reap(min=3)) == 3
    assert queue.in_flight == 0


def test_operations_without_data(dev, case, queue, block):
    dev.write(0, b"x" * block)
    tokens = [queue.flush(), queue.write_zeroes(0, block)]
    for done in queue.wait_all(tokens):
        done.raise_for_status()
    assert not case.keeps_data or dev.read(0, block) == bytes(block)
    try:
        queue.wait(queue.discard(0, block)).raise_for_status()
    except ringway.UnsupportedError as error:
        assert "discard" in str(error)


def test_wait_any_returns_each_once(dev, queue, block):
    buffer = dev.alloc(4 * block)
    tokens = [queue.read(0, buffer[i * block : (i + 1) * block]) for i in range(4)]
    left = set(tokens)
    while left:
        left.remove(queue.wait_any(left).token)
    with pytest.raises(ringway.ArgumentError, match="names no operation"):
        queue.wait(tokens[0])


def test_wait_all_keeps_the_order_given(dev, queue, block):
    buffer = dev.alloc(8 * block)
    tokens = queue.read_many(np.arange(8) * block, buffer, block).tolist()
    wanted = tokens[::-2]
    assert [done.token for done in queue.wait_all(wanted)] == wanted
    assert sorted(done.token for done in queue.reap(min=4)) == sorted(set(tokens) - set(wanted))


def test_reap_min_and_max(dev, queue, block):
    buffer = dev.alloc(10 * block)
    tokens = queue.read_many(np.arange(10) * block, buffer, block)
    first = queue.reap(min=2, max=3)
    assert 2 <= len(first) <= 3
    rest = queue.reap(min=10 - len(first))
    assert len(first) + len(rest) == 10
    assert set(first.token) | set(rest.token) == set(tokens)


def test_reap_with_nothing_in_flight_returns_at_once(queue):
    start = time.monotonic()
    assert len(queue.reap(min=1, timeout=20)) == 0
    assert time.monotonic() - start < 10


def test_reap_min_zero_only_looks(dev, queue, block):
    queue.read(0, dev.alloc(block))
    seen = 0
    end = time.monotonic() + 20
    while not seen and time.monotonic() < end:
        seen = len(queue.reap(min=0))
    assert seen == 1


def test_looking_with_wait_finds_what_is_complete(dev, queue, block):
    """A wait with timeout 0 asks, and so must look."""
    token = queue.read(0, dev.alloc(block))
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            assert queue.wait(token, timeout=0).result == block
            return
        except ringway.DeadlineError:
            continue
    pytest.fail("never seen complete")


def test_completions_are_columns_and_a_sequence(dev, queue, block):
    queue.read_many(np.arange(5) * block, dev.alloc(5 * block), block)
    done = queue.reap(min=5)
    assert done.result.tolist() == [block] * 5
    assert done.token.dtype == done.latency_ns.dtype == np.int64
    assert [c.result for c in done] == [block] * 5
    assert done[0].token == done.token[0]
    assert len(done[1:3]) == 2
    assert done.raise_for_status() is done


def test_a_full_queue_refuses_and_loses_nothing(dev, queue, block):
    buffer = dev.alloc(17 * block)
    for i in range(16):
        queue.read(i * block, buffer[i * block : (i + 1) * block])
    with pytest.raises(ringway.BusyError, match="full"):
        queue.read(0, buffer[16 * block :])
    assert len(queue.reap(min=16)) == 16


def test_read_many_takes_what_there_is_room_for(dev, case, queue, block, random):
    data = random.bytes(16 * block)
    dev.write(0, data)
    buffer = dev.alloc(20 * block)
    tokens = queue.read_many(np.arange(20) * block, buffer, block)
    assert len(tokens) == 16
    assert len(set(tokens.tolist())) == 16
    queue.wait_all(tokens)
    assert not case.keeps_data or bytes(buffer[: 16 * block]) == data


def test_a_deep_queue_many_times_around(dev, block):
    with dev.queue(depth=128) as queue:
        buffer = dev.alloc(128 * block)
        for _ in range(10):
            queue.read_many(np.zeros(128, np.int64), buffer, block)
            assert (queue.reap(min=128).result == block).all()
        assert queue.counters["operations"] == 1280


def test_two_queues_of_one_thread(dev, block):
    with dev.queue(4) as one, dev.queue(4) as two:
        buffer = dev.alloc(2 * block)
        first, second = one.read(0, buffer[:block]), two.read(0, buffer[block:])
        assert two.wait(second).result == block
        assert one.wait(first).result == block


def test_an_event_fd_shows_completions(dev, queue, block):
    try:
        fd = queue.fileno()
    except ringway.UnsupportedError as error:
        assert dev.path in str(error) or "iopoll" in dev.options
        assert dev.synchronous or "iopoll" in dev.options
        pytest.skip(str(error))
    assert queue.fileno() == fd
    queue.read(0, dev.alloc(block))
    queue.submit()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    seen = 0
    while not seen:
        assert poll.poll(20_000), "no event"
        seen += len(queue.reap(min=0))
    queue.reap(min=0)  # an event between the two looks of a reap shows once more
    assert poll.poll(0) == []


def test_a_refused_operation_changes_nothing(dev, queue, block):
    with pytest.raises(ringway.RangeError, match="beyond the end"):
        queue.read(dev.size, dev.alloc(block))
    with pytest.raises(ringway.ArgumentError):
        queue.write_zeroes(0, 0)
    assert queue.in_flight == 0
    assert queue.submit() == 0


@pytest.mark.parametrize("depth", [0, -1, 1 << 20, 1 << 40])
def test_a_depth_out_of_range_is_refused(dev, depth):
    with pytest.raises(ringway.RangeError, match="out of range"):
        dev.queue(depth=depth)


def test_unknown_tokens_are_refused(queue):
    with pytest.raises(ringway.ArgumentError, match="names no operation"):
        queue.wait(12345)
    with pytest.raises(ringway.ArgumentError, match="no operation"):
        queue.wait_any([])


def test_a_token_named_twice_is_waited_for_once(dev, queue, block):
    token = queue.read(0, dev.alloc(block))
    done = queue.wait_all([token, token])
    assert [c.token for c in done] == [token, token]


def test_a_closed_queue_refuses(dev, block):
    queue = dev.queue(4)
    queue.read(0, dev.alloc(block))
    queue.close()
    queue.close()
    assert queue.in_flight == 0
    for use in (lambda: queue.read(0, dev.alloc(block)), queue.submit, queue.reap, queue.fileno):
        with pytest.raises(ringway.ClosedError) as caught:
            use()
        assert caught.value.errno == errno.EBADF


def test_counters_count(dev, queue, block):
    before = queue.counters
    assert set(before) == {"operations", "syscalls", "doorbells", "copies", "retries", "parts"}
    queue.wait(queue.read(0, dev.alloc(block)))
    after = queue.counters
    assert after["operations"] == before["operations"] + 1
    assert after["parts"] >= before["parts"] + 1
