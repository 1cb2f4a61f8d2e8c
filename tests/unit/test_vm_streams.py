"""Streams between a machine and this process: nothing lost, nobody held up. No QEMU is needed."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringway.vm.errors import JobError
from ringway.vm.job import Job, check
from ringway.vm.loop import Loop
from ringway.vm.stream_end import StreamEnd, new_mark
from ringway.vm.streams import Input, Output
from ringway.vm.topology import Topology

# ------------------------------------------------------------ the end of a stream


@given(st.binary(max_size=200), st.binary(max_size=20), st.lists(st.integers(1, 40), max_size=30))
def test_all_before_the_mark_comes_through_however_it_is_cut(
    data: bytes, after: bytes, cuts: list[int]
) -> None:
    mark = "ringway-abcabcab"
    stream, end, got = data + mark.encode() + after, StreamEnd(mark), b""
    for cut in [*cuts, len(stream)]:
        got += end.take(stream[:cut])
        stream = stream[cut:]
    assert end.reached
    assert got == data.partition(mark.encode())[0]


def test_what_only_looks_like_the_mark_is_passed_on() -> None:
    end = StreamEnd("ringway-1234")
    assert end.take(b"x ringway-12") == b"x "
    assert end.take(b"5 and more") == b"ringway-125 and more"
    assert not end.reached


def test_marks_differ() -> None:
    assert new_mark() != new_mark()


# ------------------------------------------------------------ the loop


def await_that(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_source_without_room_rests_until_it_has_some() -> None:
    ours, theirs = socket.socketpair()
    got: list[bytes] = []
    loop = Loop()
    room = True
    loop.add(ours, got.append, lambda: room)
    theirs.send(b"1")
    room = False
    assert loop.serve(1) == (1, False)
    assert loop.is_resting
    theirs.send(b"2")
    assert loop.serve(0) == (0, False)
    room = True
    assert loop.serve(1) == (1, False)
    assert got == [b"1", b"2"]
    loop.close()


def test_a_nudge_ends_a_wait_and_is_harmless_after_the_end() -> None:
    loop = Loop()
    loop.nudge()
    begin = time.monotonic()
    assert loop.serve(30) == (0, False)
    assert time.monotonic() - begin < 10
    loop.close()
    loop.nudge()


# ------------------------------------------------------------ output, input


class FakeMachine:
    """Ports, and the loop that serves them."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.ports: dict[str, socket.socket] = {}
        self.theirs: dict[str, socket.socket] = {}
        for name in ("stdin", "stdout"):
            self.ports[name], self.theirs[name] = socket.socketpair()

    def on_data(self, port: str, act: Any, has_room: Any) -> None:
        self.loop.add(self.ports[port], act, has_room)

    def wake(self) -> None:
        self.loop.nudge()


@pytest.fixture
def machine() -> Any:
    return FakeMachine()


def test_a_blocked_reader_does_not_block_the_loop(machine: Any) -> None:
    reading, writing = os.pipe()
    output = Output(machine, "stdout", writing)
    size = 4 << 20
    machine.theirs["stdout"].setblocking(False)
    sent = 0
    for _ in range(200):  # nobody reads: the loop goes on, and takes only so much
        try:
            sent += machine.theirs["stdout"].send(bytes(65536))
        except BlockingIOError:
            break
        begin = time.monotonic()
        machine.loop.serve(0.01)
        assert time.monotonic() - begin < 5
    assert sent < size
    assert not output.is_drained()
    got = 0
    while got < sent:
        machine.loop.serve(0.01)
        got += len(os.read(reading, 1 << 20))
    await_that(output.is_drained)
    output.close()


def test_a_descriptor_that_does_not_block_is_waited_for(machine: Any) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    output = Output(machine, "stdout", writing)
    machine.theirs["stdout"].send(bytes(100_000))
    machine.loop.serve(1)
    machine.loop.serve(1)
    got = b""
    while len(got) < 100_000:
        got += os.read(reading, 65536)
    await_that(output.is_drained)


def test_a_reader_that_has_gone_is_an_error(machine: Any) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    output = Output(machine, "stdout", writing)
    machine.theirs["stdout"].send(b"x")
    machine.loop.serve(1)

    def fails() -> bool:
        try:
            output.is_drained()
        except BrokenPipeError:
            return True
        return False

    await_that(fails)


def test_input_is_copied_to_its_end(machine: Any, tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"123456789")
    with open(file, "rb") as stream, Input(machine, stream.fileno()):
        theirs = machine.theirs["stdin"]
        got = b""
        while part := theirs.recv(100):
            got += part
    assert got == b"123456789"


def test_input_that_cannot_be_read_is_at_its_end(machine: Any, tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    with Input(machine, folder):
        assert machine.theirs["stdin"].recv(1) == b""


def test_nothing_is_taken_that_comes_after_the_end(machine: Any) -> None:
    reading, writing = os.pipe()
    with Input(machine, reading):
        os.write(writing, b"first")
        assert machine.theirs["stdin"].recv(100) == b"first"
    os.write(writing, b"next")
    time.sleep(0.05)
    os.set_blocking(reading, False)
    assert os.read(reading, 100) == b"next"


def test_the_escape_is_not_passed_on(machine: Any) -> None:
    reading, writing = os.pipe()
    with Input(machine, reading, b"\x1d") as given_input:
        os.write(writing, b"\x1d")
        assert given_input.escaped.wait(10)
        assert machine.theirs["stdin"].recv(1) == b""


# ------------------------------------------------------------ jobs that cannot be


@pytest.mark.parametrize(
    ("directory", "results", "part"),
    [
        ("/run/user", [], "the guest's own"),
        ("/", ["/dev/shm/x"], "the guest's own"),
        ("/", ["/"], "name one inside"),
        ("/", ["/tmp/x "], "name one inside"),
        ("/", ["/tmp/a\nb"], "name one inside"),
        ("/", [f"/tmp/{n}" for n in range(11)], "up to 10"),
    ],
)
def test_a_job_that_no_machine_can_do_is_refused(
    directory: str, results: list[str], part: str
) -> None:
    job = Job(
        command=["true"],
        topology=Topology(),
        directory=Path(directory),
        environment={},
        results=[Path(result) for result in results],
    )
    with pytest.raises(JobError, match=part):
        check(job)


def test_other_jobs_pass() -> None:
    job = SimpleNamespace(directory=Path("/runs"), results=[Path("/tmp/a b, c"), Path("/devel")])
    check(job)  # type: ignore[arg-type]
