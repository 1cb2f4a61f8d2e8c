"""Writes in a process of their own: their order, their errors, and one that never returns."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringway.errors import DeadlineError, NotFoundError
from ringway.nvme.steps import Step, carry_out


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def step(file: Path, text: str = "text") -> Step:
    return Step(file, text, f"write {file.name}")


def test_in_order(tmp_path: Path, lock: int) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch()
    second.touch()
    carry_out([step(first, "1\n"), step(second, "2"), step(first, "3\n")], 30, lock)
    assert (first.read_text(), second.read_text()) == ("3\n", "2")


def test_nothing_to_do(lock: int) -> None:
    carry_out([], 0, lock)


def test_the_first_that_fails_ends_it(tmp_path: Path, lock: int) -> None:
    last = tmp_path / "last"
    last.touch()
    with pytest.raises(NotFoundError, match="could not write missing: No such file"):
        carry_out([step(tmp_path / "missing"), step(last)], 30, lock)
    assert last.read_text() == ""


def test_one_that_hangs_is_left_behind(tmp_path: Path, lock: int) -> None:
    """Nobody reads from the pipe, so opening it for writing blocks."""
    pipe, first = tmp_path / "pipe", tmp_path / "first"
    first.touch()
    os.mkfifo(pipe)
    began = time.monotonic()
    with pytest.raises(DeadlineError, match=r"not managed to write pipe in 1 s.*Process \d+ hangs"):
        carry_out([step(first), step(pipe), step(first, "again")], 1, lock)
    assert time.monotonic() - began < 10
    assert first.read_text() == "text"


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[float], None]]:
    """Sends SIGINT some seconds later, to Python's own handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timers = []

    def after(seconds: float) -> None:
        timers.append(threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)))
        timers[-1].start()

    yield after
    for timer in timers:
        timer.join()
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_waits_for_what_was_begun(
    tmp_path: Path, lock: int, ctrl_c: Callable[[float], None], times: int
) -> None:
    """The answer before the slow step was read before it came; it still counts."""
    first, slow, last = (tmp_path / name for name in ("first", "slow", "last"))
    first.touch()
    last.touch()
    os.mkfifo(slow)
    reader = threading.Timer(2.0, slow.read_bytes)
    reader.start()
    for count in range(times):
        ctrl_c(1.0 + 0.3 * count)
    with pytest.raises(KeyboardInterrupt):
        carry_out([step(first), step(slow), step(last)], 30, lock)
    assert (first.read_text(), last.read_text()) == ("text", "text")
    reader.join()


def test_ctrl_c_does_not_hide_what_hangs(
    tmp_path: Path, lock: int, ctrl_c: Callable[[float], None]
) -> None:
    """Whoever heard of Ctrl-C alone would begin the way back beside it."""
    first, pipe = tmp_path / "first", tmp_path / "pipe"
    first.touch()
    os.mkfifo(pipe)
    ctrl_c(0.5)
    with pytest.raises(DeadlineError, match="not managed to write pipe") as caught:
        carry_out([step(first), step(pipe)], 1.5, lock)
    assert isinstance(caught.value.__cause__, KeyboardInterrupt)


def test_no_writer_is_left_as_a_zombie(tmp_path: Path, lock: int) -> None:
    pipe, file = tmp_path / "pipe", tmp_path / "file"
    file.touch()
    os.mkfifo(pipe)
    with pytest.raises(DeadlineError) as caught:
        carry_out([step(pipe)], 0.1, lock)
    hanging = int(caught.value.strerror.partition("Process ")[2].split()[0])
    time.sleep(0.2)
    carry_out([step(file)], 30, lock)
    assert not Path(f"/proc/{hanging}").exists()
