"""Completions and batches as numpy sees them: laid out as the core's structs."""

from __future__ import annotations

import errno

import numpy as np
import pytest

import ringway
from ringway._native import ffi, lib
from ringway.buffer import pin
from ringway.completions import COMPLETION_DTYPE, OP_DTYPE, Completions, block_ops
from ringway.done import Done


@pytest.mark.parametrize(
    ("dtype", "struct"),
    [(COMPLETION_DTYPE, "struct rw_completion"), (OP_DTYPE, "struct rw_op")],
)
def test_rows_are_laid_out_as_the_struct(dtype, struct):
    assert dtype.itemsize == ffi.sizeof(struct)
    fields = dict(ffi.typeof(struct).fields)
    assert set(dtype.names) == set(fields)
    for name, field in fields.items():
        assert dtype.fields[name][1] == field.offset
        assert dtype[name].itemsize == ffi.sizeof(field.type)


@pytest.fixture
def rows():
    rows = np.zeros(3, COMPLETION_DTYPE)
    rows["token"] = 7, 8, 9
    rows["result"] = 512, -errno.EIO, -errno.ENODATA
    rows["latency_ns"] = 100, 200, 300
    rows["opcode"] = lib.RW_WRITE
    return rows


def test_completions_are_a_sequence_and_columns(rows):
    done = Completions(rows)
    assert [c.token for c in done] == [7, 8, 9] == done.token.tolist()
    assert done[1] == (8, -errno.EIO, 200, 0, lib.RW_WRITE)
    assert [c.token for c in done[::2]] == [7, 9]
    assert 7 in [c.token for c in reversed(done)]
    assert "token=7" in repr(done)
    with pytest.raises(IndexError):
        done[3]


def test_the_first_failure_is_raised(rows):
    with pytest.raises(ringway.RingwayError, match="write failed: Input/output error"):
        Completions(rows).raise_for_status()
    with pytest.raises(ringway.TruncatedError):
        Completions(rows)[2].raise_for_status()
    assert len(Completions(rows[:1]).raise_for_status()) == 1
    assert len(Completions(rows[:0]).raise_for_status()) == 0


def test_block_operations_follow_each_other_in_memory():
    buffer = ringway.alloc(4096)
    span, _ = pin(buffer)
    ops = block_ops(lib.RW_READ, np.array([8192, 0]), span, 512)
    assert ops["offset"].tolist() == [8192, 0]
    assert ops["memory"].tolist() == [buffer.ctypes.data, buffer.ctypes.data + 512]
    assert ops["length"].tolist() == [512, 512]
    assert ops["opcode"].tolist() == [lib.RW_READ] * 2


@pytest.mark.parametrize("bs", [0, -1, 2049])
def test_blocks_that_do_not_fit_are_refused(bs):
    span, _ = pin(bytearray(4096))
    with pytest.raises(ringway.ArgumentError, match="do not fit"):
        block_ops(lib.RW_READ, np.array([0, 512]), span, bs)


def test_a_batch_tells_which_operation_failed():
    done = Done(4)
    done.result[:] = 512, 512, -errno.ENOSPC, -errno.EIO
    done.close(lib.RW_WRITE)
    assert (done.failed, len(done)) == (2, 4)
    assert repr(done) == "<Done 4 operations, 2 failed>"
    with pytest.raises(ringway.NoSpaceError) as caught:
        done.raise_for_status()
    assert str(caught.value).endswith("the disk is full (operation 2 of 4; 2 failed)")
