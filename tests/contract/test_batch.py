"""Batches: many operations in one call, the same on every path."""

from __future__ import annotations

import numpy as np
import pytest

import ringway


@pytest.fixture
def filled(dev, case, random, extent):
    """The device and what it holds; None where nothing is kept."""
    data = np.frombuffer(random.bytes(extent), np.uint8)
    dev.write(0, data)
    return data if case.keeps_data else None


def blocks_of(data, offsets, bs):
    return np.concatenate([data[offset : offset + bs] for offset in offsets])


@pytest.mark.parametrize("depth", [1, 3, 64, 200])
def test_read_many_fills_the_buffer_in_order(dev, filled, block, random, depth, extent):
    offsets = random.permutation(extent // block) * block
    buffer = dev.alloc(extent)
    done = dev.read_many(offsets, buffer, bs=block, depth=depth)
    assert done.failed == 0
    assert done.result.tolist() == [block] * len(offsets)
    assert filled is None or np.array_equal(buffer, blocks_of(filled, offsets, block))


def test_write_many_is_its_counterpart(dev, case, block, random, extent):
    offsets = random.permutation(extent // block) * block
    data = dev.alloc(extent)
    data[:] = np.frombuffer(random.bytes(extent), np.uint8)
    assert dev.write_many(offsets, data, block).raise_for_status().failed == 0
    back = np.frombuffer(dev.read(0, extent), np.uint8)
    assert not case.keeps_data or np.array_equal(blocks_of(back, offsets, block), data)


def test_many_more_operations_than_depth(dev, block, random, extent):
    offsets = random.integers(0, extent // block, 3000) * block
    done = dev.read_many(offsets, dev.alloc(3000 * block), depth=16)
    assert (done.result == block).all()


def test_overlapping_reads_at_depth(dev, filled, random, extent):
    bs = dev.block_size * 8
    offsets = random.integers(0, (extent - bs) // dev.block_size, 100) * dev.block_size
    buffer = dev.alloc(100 * bs)
    dev.read_many(offsets, buffer, bs, depth=32).raise_for_status()
    assert filled is None or np.array_equal(buffer, blocks_of(filled, offsets, bs))


def test_results_and_latencies_are_columns(dev, block):
    done = dev.read_many(np.arange(10) * block, dev.alloc(10 * block), block)
    assert len(done) == 10
    for column in (done.result, done.latency_ns):
        assert column.dtype == np.int64
        assert column.shape == (10,)
    assert (done.latency_ns >= 0).all()
    assert (done.latency_ns < 60e9).all()


def test_the_deepest_queue_of_all(dev, block):
    done = dev.read_many(np.zeros(64, np.int64), dev.alloc(64 * block), depth=dev.max_depth)
    assert (done.result == block).all()


def test_out_is_filled_again(dev, filled, block):
    buffer = dev.alloc(4 * block)
    out = dev.read_many(np.zeros(4, np.int64), buffer, block)
    out.result[:] = 7
    again = dev.read_many(np.arange(4) * block, buffer, block, out=out)
    assert again is out
    assert out.result.tolist() == [block] * 4
    assert filled is None or np.array_equal(buffer, filled[: 4 * block])


@pytest.mark.parametrize(
    "kind",
    [list, tuple, lambda a: a.astype(np.int32), lambda a: a.astype(np.uint64), lambda a: a.copy()],
    ids=["list", "tuple", "int32", "uint64", "int64"],
)
def test_offsets_of_any_integer_kind(dev, filled, block, kind):
    buffer = dev.alloc(3 * block)
    dev.read_many(kind(np.array([2, 0, 1]) * block), buffer, block).raise_for_status()
    assert filled is None or np.array_equal(buffer[:block], filled[2 * block : 3 * block])


def test_offsets_that_are_not_contiguous(dev, filled, block):
    buffer = dev.alloc(3 * block)
    every_other = (np.arange(6) * block)[::2]
    dev.read_many(every_other, buffer, block).raise_for_status()
    assert filled is None or np.array_equal(buffer, blocks_of(filled, every_other, block))


def test_block_size_is_the_buffer_over_the_operations(dev, block):
    done = dev.read_many([0, block], dev.alloc(4 * block))
    assert done.result.tolist() == [2 * block] * 2


def test_nothing_to_do(dev, block):
    done = dev.read_many([], dev.alloc(block), block)
    assert len(done) == 0
    assert done.raise_for_status() is done


def test_memory_of_the_caller(dev, filled, block, random):
    memory = np.empty(5 * block, np.uint8)
    start = -memory.ctypes.data % block
    view = memory[start : start + 4 * block]
    dev.read_many(np.arange(4) * block, view, block).raise_for_status()
    assert filled is None or np.array_equal(view, filled[: 4 * block])


@pytest.fixture
def refuse(dev, case, block, extent):
    """Refuses arguments to write_many; says why, and checks that nothing was written."""

    def check(*arguments, **options):
        before = dev.read(0, extent)
        with pytest.raises((ringway.ArgumentError, TypeError)) as caught:
            dev.write_many(*arguments, **options)
        assert not case.keeps_data or dev.read(0, extent) == before
        return str(caught.value)

    return check


def test_a_misaligned_offset_is_refused_before_anything_starts(dev, block, refuse):
    if dev.block_size == 1:
        pytest.skip("a buffered device takes any offset")
    offsets = np.arange(4) * block
    offsets[2] += 1
    text = refuse(offsets, dev.alloc(4 * block), block)
    assert f"a multiple of {dev.block_size}" in text
    assert "operation 2 of 4; none was started" in text


def test_a_batch_beyond_the_end_is_refused(dev, block, refuse):
    text = refuse([0, dev.size], dev.alloc(2 * block), block)
    assert "beyond the end" in text
    assert str(dev.size) in text
    assert "beyond the end" in refuse([0, -block], dev.alloc(2 * block), block)


def test_a_buffer_too_short_is_refused(dev, block, refuse):
    assert "do not fit" in refuse(np.zeros(3, np.int64), dev.alloc(2 * block), block)


def test_zero_bytes_are_refused(dev, block, refuse):
    assert "zero bytes" in refuse([0], dev.alloc(block), 0)


@pytest.mark.parametrize("depth", [0, 1 << 20, -1, 1 << 40])
def test_a_depth_out_of_range_is_refused(dev, block, depth, refuse):
    assert "out of range" in refuse([0], dev.alloc(block), block, depth=depth)
    with pytest.raises(ringway.RangeError):
        dev.read_many([0], dev.alloc(block), block, depth=depth)


def test_offsets_that_are_no_list_of_integers_are_refused(dev, block, refuse):
    assert "integers" in refuse([0.5], dev.alloc(block), block)
    assert "one dimension" in refuse(np.zeros((2, 2), np.int64), dev.alloc(4 * block), block)


def test_out_of_another_length_is_refused(dev, block, refuse):
    out = dev.read_many([0], dev.alloc(block), block)
    assert "out has 1 entries" in refuse([0, block], dev.alloc(2 * block), block, out=out)
