"""Devices whose size is no multiple of a block, and none at all."""

from __future__ import annotations

import numpy as np
import pytest

import ringway

SIZE = 10_001


@pytest.fixture
def ragged(case, open_case, disk, random):
    """A device that ends inside its last block, and what it holds."""
    if case.kind == "file":
        data = random.bytes(SIZE)
        (disk / "ragged").write_bytes(data)
        with open_case(disk / "ragged") as dev:
            yield dev, data
    elif case.kind in ("mem", "null"):
        with open_case(f"{case.kind}:{SIZE}") as dev:
            yield dev, bytes(SIZE) if case.keeps_data else None
    else:
        pytest.skip("a block device ends with a block")


def test_the_size_is_told_exactly(ragged):
    assert ragged[0].size == SIZE


def test_a_read_of_the_last_block_is_short(ragged, block):
    dev, data = ragged
    if dev.block_size == 1:
        pytest.skip("a buffered device has no last block")
    last = SIZE - SIZE % dev.block_size
    buffer = dev.alloc(dev.block_size)
    rest = dev.readinto(last, buffer)
    assert rest == SIZE - last or data is None
    assert data is None or bytes(buffer[:rest]) == data[last:]
    done = dev.read_many([0, last], dev.alloc(2 * dev.block_size), dev.block_size)
    assert data is None or done.result.tolist() == [dev.block_size, rest]


def test_reads_of_any_bytes_end_with_the_data(ragged):
    dev, data = ragged
    for offset, length in ((0, SIZE), (0, 2 * SIZE), (SIZE - 1, 1), (SIZE - 1, 100), (9_000, 900)):
        got = dev.read(offset, length)
        assert len(got) == min(length, SIZE - offset)
        assert data is None or got == data[offset : offset + length]


def test_beyond_the_last_block(ragged):
    dev, _ = ragged
    end = -(-SIZE // dev.block_size) * dev.block_size
    with pytest.raises(ringway.RangeError, match=str(SIZE)):
        dev.readinto(end, dev.alloc(dev.block_size))
    with pytest.raises(ringway.RangeError, match=str(SIZE)):
        dev.read(SIZE + 1, 1)


def test_a_write_of_the_last_block_keeps_the_rest(ragged):
    dev, data = ragged
    last = SIZE - SIZE % dev.block_size
    if last == SIZE:
        last -= 1
    length = min(dev.block_size, 512)
    dev.write(last, b"w" * length)
    assert data is None or dev.read(0, SIZE) == data[:last] + b"w" * (SIZE - last)


def test_an_empty_file_has_nothing_to_read(case, open_case, disk):
    if case.kind != "file":
        pytest.skip("not a file")
    (disk / "empty").write_bytes(b"")
    with open_case(disk / "empty") as dev:
        assert dev.size == 0
        assert dev.read(0, 100) == b""
        with pytest.raises(ringway.RangeError, match="beyond the end"):
            dev.readinto(0, dev.alloc(4096))
        assert len(dev.read_many(np.empty(0, np.int64), dev.alloc(4096), 4096)) == 0
