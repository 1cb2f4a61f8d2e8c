"""A command and the signals that reach it, from a terminal or from elsewhere."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringway.nvme import command
from ringway.nvme.command import Relay, relayed

#: Tells when it is there and when it is told to end, and takes its time to.
PATIENT = """
import signal, sys, time
def end(number, frame):
    time.sleep(0.7)
    sys.exit(number)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end if sys.argv[2] == "ends" else lambda *_: None)
open(sys.argv[1], "w").close()
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Also where the test run was started with SIGINT or SIGHUP ignored."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in signals}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def send() -> Iterator[Callable[[Path, int, float], None]]:
    """Sends this process a signal so many seconds after a file has come."""
    threads = []

    def later(sign: Path, number: int, seconds: float) -> None:
        thread = threading.Thread(target=_send, args=(sign, number, seconds))
        thread.start()
        threads.append(thread)

    yield later
    for thread in threads:
        thread.join()


def _send(sign: Path, number: int, seconds: float) -> None:
    end = time.monotonic() + 30
    while not sign.exists() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(seconds)
    os.kill(os.getpid(), number)


def patient(sign: Path, ctrl_c: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", PATIENT, str(sign), ctrl_c]


def test_a_command_has_its_time_also_after_ctrl_c(tmp_path: Path, monkeypatch, send) -> None:
    """Ctrl-C, then long nothing, then SIGTERM: the time begins with the last."""
    monkeypatch.setattr(command, "_GRACE", 2.0)
    monkeypatch.setattr(command, "_at_terminal", lambda: True)
    sign = tmp_path / "sign"
    send(sign, signal.SIGINT, 0)
    send(sign, signal.SIGTERM, 2.5)
    with relayed() as relay:
        assert relay.run(patient(sign, "stays")) == signal.SIGTERM


def test_one_that_does_not_end_is_killed_also_when_ctrl_c_follows(
    tmp_path: Path, monkeypatch, send
) -> None:
    monkeypatch.setattr(command, "_GRACE", 0.3)
    monkeypatch.setattr(command, "_at_terminal", lambda: True)
    sign = tmp_path / "sign"
    send(sign, signal.SIGTERM, 0)
    send(sign, signal.SIGINT, 0.1)
    with relayed() as relay:
        assert relay.run(patient(sign, "stays")) == 128 + signal.SIGKILL


def test_an_interrupt_from_elsewhere_is_passed_on(tmp_path: Path, monkeypatch, send) -> None:
    monkeypatch.setattr(command, "_at_terminal", lambda: False)
    sign = tmp_path / "sign"
    send(sign, signal.SIGINT, 0)
    with relayed() as relay:
        assert relay.run(patient(sign, "ends")) == signal.SIGINT


def test_a_signal_before_the_command(monkeypatch) -> None:
    relay = Relay()
    relay(signal.SIGINT, None)
    assert relay.run(["/nonexistent"]) == 128 + signal.SIGINT


def test_what_is_ignored_stays_so() -> None:
    """As under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with relayed() as relay:
        code = "import signal, sys; sys.exit(signal.getsignal(signal.SIGHUP) != signal.SIG_IGN)"
        assert relay.run([sys.executable, "-I", "-S", "-c", code]) == 0
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


ASK = "from ringway.nvme.command import _at_terminal; print(_at_terminal())"


def test_without_a_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK], start_new_session=True, capture_output=True, check=True
    )
    assert done.stdout == b"False\n"


def test_at_a_terminal() -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", ASK])
    try:
        assert os.read(terminal, 100).strip() == b"True"
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
