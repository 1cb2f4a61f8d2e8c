"""Timeouts: seconds in, nanoseconds out, and what is left of them."""

from __future__ import annotations

import pytest

import ringway
from ringway import timeouts
from ringway.timeouts import Deadline, nanoseconds


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, 0), (1, 10**9), (0.5, 5 * 10**8), (1e-9, 1), (1e9, 10**18)]
)
def test_seconds_become_nanoseconds(seconds, expected):
    assert nanoseconds(seconds) == expected


@pytest.mark.parametrize("seconds", [-1, -1e-9, 1.1e9, float("inf"), float("nan")])
def test_what_is_no_timeout_is_refused(seconds):
    with pytest.raises(ringway.ArgumentError, match="a timeout is 0 to"):
        nanoseconds(seconds)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    times = [1000]
    monkeypatch.setattr(timeouts.time, "monotonic_ns", lambda: times[0])
    return times


def test_a_deadline_comes_nearer_and_passes(clock):
    deadline = Deadline(500)
    assert deadline.left() == 500
    clock[0] += 200
    assert deadline.left() == 300
    clock[0] += 1000
    assert deadline.left() == 0


def test_a_slice_is_short_and_ends_with_the_deadline(clock):
    deadline = Deadline(10**9)
    assert deadline.slice() == timeouts.SLICE_NS
    clock[0] += 10**9 - 7
    assert deadline.slice() == 7
    clock[0] += 7
    assert deadline.slice() == 0


def test_a_given_up_call_and_a_slice_take_less_than_a_tenth_of_a_second():
    assert timeouts.SLICE_NS + timeouts.GIVE_UP_NS < 10**8
