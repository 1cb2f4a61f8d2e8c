"""Memory as the core is told about it, and offsets as it wants them."""

from __future__ import annotations

import numpy as np
import pytest

import ringway
from ringway.buffer import as_offsets, bare_span, pin


@pytest.mark.parametrize(
    "owner",
    [bytearray(100), np.zeros(100, np.uint8), np.zeros((5, 10), np.uint16), memoryview(bytes(100))],
    ids=["bytearray", "numpy", "2-d", "memoryview"],
)
def test_a_span_covers_the_memory_and_holds_it(owner):
    span, keep = pin(owner)
    assert span.memory == np.frombuffer(owner, np.uint8).ctypes.data
    assert span.length == memoryview(owner).nbytes
    assert keep is not None


def test_the_span_of_a_buffer_is_made_once():
    """The core holds its memory: nothing has to be kept here."""
    buffer = ringway.alloc(4096)
    first, keep = pin(buffer)
    assert keep is None
    assert buffer._span is first
    part = buffer[512:1024]
    assert part._span is None
    assert pin(part)[0].memory == first.memory + 512


def test_the_span_of_a_copy_is_not_remembered():
    """A copy is a Buffer, but its memory is numpy's."""
    copy = ringway.alloc(4096).copy()
    assert isinstance(copy, ringway.Buffer)
    _, keep = pin(copy)
    assert keep is not None
    assert copy._span is None


def test_a_read_only_view_is_never_filled():
    buffer = ringway.alloc(4096)
    view = buffer[:]
    view.flags.writeable = False
    pin(view)
    with pytest.raises(ringway.ArgumentError, match="cannot be used"):
        pin(view, writable=True)
    with ringway.open("mem:4096") as dev, pytest.raises(ringway.ArgumentError):
        dev.readinto(0, view)


@pytest.mark.parametrize("owner", [5, "text", None, object()])
def test_what_is_no_memory_is_refused(owner):
    with pytest.raises(TypeError, match=f"got {type(owner).__name__}"):
        pin(owner)


@pytest.mark.parametrize("length", [-1, 1 << 64])
def test_a_length_that_cannot_be_is_refused(length):
    with pytest.raises(ringway.RangeError, match="out of range"):
        bare_span(length)


@pytest.mark.parametrize(
    "offsets",
    [
        [0, 512],
        (0, 512),
        range(0, 1024, 512),
        np.array([0, 512], np.int32),
        np.array([0, 512], np.uint64),
        np.array([0, 512], ">i8"),
        np.array([0, 1, 512, 1])[::2],
    ],
)
def test_offsets_become_one_array(offsets):
    array = as_offsets(offsets)
    assert array.dtype == np.int64
    assert array.flags.c_contiguous
    assert array.tolist() == [0, 512]


def test_offsets_that_fit_are_not_copied():
    offsets = np.arange(4)
    assert as_offsets(offsets) is offsets


@pytest.mark.parametrize("offsets", [[0.5], ["0"], [None], [2**70]])
def test_offsets_that_are_no_integers_are_refused(offsets):
    with pytest.raises(TypeError, match="must be integers"):
        as_offsets(offsets)


@pytest.mark.parametrize("offsets", [5, [[0, 1]], np.zeros((1, 1, 1), np.int64)])
def test_offsets_that_are_no_list_are_refused(offsets):
    with pytest.raises(ringway.ArgumentError, match="one dimension"):
        as_offsets(offsets)


def test_no_offsets_at_all():
    assert as_offsets([]).dtype == np.int64
