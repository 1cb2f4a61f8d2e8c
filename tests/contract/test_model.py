"""Random operations on each path against a bytearray that does the same."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

import ringway

places = st.integers(0, 1 << 40)
seeds = st.integers(0, 255)

#: Runs of random operations per case; few where a machine is emulated.
MOST_EXAMPLES = int(os.environ.get("RINGWAY_TEST_EXAMPLES", "8"))


class Model(RuleBasedStateMachine):
    """Offsets and lengths are drawn as large numbers and brought into the device's range."""

    def __init__(self, dev: ringway.Device, queue: ringway.Queue, extent: int) -> None:
        super().__init__()
        self.dev = dev
        self.queue = queue
        self.extent = extent
        self.unit = dev.block_size
        self.units = extent // self.unit
        self.model = bytearray(dev.read(0, extent))
        self.buffer = dev.alloc(extent)
        self.can_discard = True

    def span(self, place: int, length: int, most: int = 1 << 40) -> tuple[int, int]:
        """Offset and length in whole units."""
        first = place % self.units
        count = 1 + length % min(self.units - first, most)
        return first * self.unit, count * self.unit

    def data(self, length: int, seed: int) -> ringway.Buffer:
        """Bytes that tell their place and the operation that wrote them."""
        data = self.buffer[:length]
        data[:] = (np.arange(length) * 7 + np.arange(length) // 512 + seed).astype(np.uint8)
        return data

    def distinct(self, picked: list[int], bs: int) -> np.ndarray:
        """Offsets of blocks that do not overlap."""
        blocks = self.extent // bs
        return np.array(list(dict.fromkeys(place % blocks for place in picked))) * bs

    # ------------------------------------------------------------ sync calls

    @rule(place=places, length=places, seed=seeds)
    def write(self, place: int, length: int, seed: int) -> None:
        offset, length = self.span(place, length)
        data = self.data(length, seed)
        assert self.dev.write(offset, data) == length
        self.model[offset : offset + length] = bytes(data)

    @rule(place=places, length=places)
    def readinto(self, place: int, length: int) -> None:
        offset, length = self.span(place, length)
        buffer = self.buffer[:length]
        buffer[:] = 0xAA
        assert self.dev.readinto(offset, buffer) == length
        assert bytes(buffer) == self.model[offset : offset + length]

    @rule(offset=places, length=st.integers(0, 20_000))
    def read_any_bytes(self, offset: int, length: int) -> None:
        offset %= self.extent
        got = self.dev.read(offset, length)[: self.extent - offset]
        assert got == self.model[offset : offset + length]

    @rule(place=places, length=places)
    def write_zeroes(self, place: int, length: int) -> None:
        offset, length = self.span(place, length)
        self.dev.write_zeroes(offset, length)
        self.model[offset : offset + length] = bytes(length)

    @precondition(lambda self: self.can_discard)
    @rule(place=places, length=places)
    def discard(self, place: int, length: int) -> None:
        """What was discarded is undefined, so it is looked up."""
        offset, length = self.span(place, length)
        try:
            self.dev.discard(offset, length)
        except ringway.UnsupportedError:
            self.can_discard = False
        self.model[offset : offset + length] = self.dev.read(offset, length)

    @rule()
    def flush(self) -> None:
        self.dev.flush()

    @precondition(lambda self: self.unit > 1)
    @rule(place=places, by=st.integers(1, 511), length=st.booleans())
    def misaligned(self, place: int, by: int, length: bool) -> None:
        """Refused; that nothing changed shows in what is read later."""
        offset, whole = self.span(place, 0)
        data = self.data(whole + self.unit, 1)[: whole + by * length]
        with pytest.raises(ringway.ArgumentError):
            self.dev.write(offset + by * (not length), data)

    # --------------------------------------------------- batches and queues

    @rule(picked=st.lists(places, min_size=1, max_size=60), size=places, seed=seeds)
    def write_many(self, picked: list[int], size: int, seed: int) -> None:
        _, bs = self.span(0, size, most=8)
        offsets = self.distinct(picked, bs)
        data = self.data(len(offsets) * bs, seed)
        self.dev.write_many(offsets, data, bs, depth=1 + seed % 32).raise_for_status()
        for i, offset in enumerate(offsets):
            self.model[offset : offset + bs] = bytes(data[i * bs : (i + 1) * bs])

    @rule(picked=st.lists(places, min_size=1, max_size=30), size=places, depth=st.integers(1, 64))
    def read_many_that_overlap(self, picked: list[int], size: int, depth: int) -> None:
        _, bs = self.span(0, size, most=8)
        last = self.units - bs // self.unit
        offsets = np.array([place % (last + 1) for place in picked]) * self.unit
        buffer = self.buffer[: len(offsets) * bs]
        self.dev.read_many(offsets, buffer, bs, depth=depth).raise_for_status()
        expected = b"".join(bytes(self.model[offset : offset + bs]) for offset in offsets)
        assert bytes(buffer) == expected

    @rule(picked=st.lists(st.tuples(places, places), min_size=1, max_size=16))
    def reads_of_all_lengths_in_flight(self, picked: list[tuple[int, int]]) -> None:
        spans = [self.span(place, length, most=16) for place, length in picked]
        parts = [self.dev.alloc(length) for _, length in spans]
        pairs = zip(spans, parts, strict=True)
        tokens = [self.queue.read(span[0], part) for span, part in pairs]
        for done in self.queue.wait_all(tokens):
            done.raise_for_status()
        for (offset, length), part in zip(spans, parts, strict=True):
            assert bytes(part) == self.model[offset : offset + length]

    @rule(place=places, length=places, seed=seeds)
    def writes_one_after_the_other(self, place: int, length: int, seed: int) -> None:
        offset, length = self.span(place, length)
        for version in range(2):
            data = self.data(length, seed + version)
            self.queue.wait(self.queue.write(offset, data)).raise_for_status()
        self.model[offset : offset + length] = bytes(data)

    def teardown(self) -> None:
        assert self.queue.in_flight == 0
        assert self.dev.read(0, self.extent) == self.model


def test_random_operations(case, dev, extent):
    if not case.keeps_data:
        pytest.skip("the null path keeps no data")
    with dev.queue(16) as queue:
        run_state_machine_as_test(
            lambda: Model(dev, queue, extent),
            settings=settings(max_examples=MOST_EXAMPLES, stateful_step_count=20),
        )
