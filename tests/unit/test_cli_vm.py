"""``ringway vm`` up to the point where a machine would start."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ringway.vm import host as host_module
from ringway.vm import run as run_module
from ringway.vm.acceleration import Acceleration
from ringway.vm.errors import PanicError, StoppedError, UnavailableError


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What a machine was started with; `status` or `error` is how it ends."""
    state = SimpleNamespace(status=0, error=None, job=None, asked=None, deadline=None, log=None)

    def find_host(*words: Any) -> SimpleNamespace:
        state.asked = words
        return SimpleNamespace(acceleration=Acceleration("tcg", "there is no /dev/kvm"))

    def run(host: object, job: Any, deadline: Any, log: Any, stop: Any) -> int:
        state.job, state.deadline, state.log = job, deadline, log
        if state.error:
            raise state.error
        assert not stop()
        return state.status

    monkeypatch.setattr(host_module, "find_host", find_host)
    monkeypatch.setattr(run_module, "run", run)
    return state


def test_the_command_gets_folder_environment_and_words(
    ringway: Any, started: SimpleNamespace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLOUR", "red")
    (folder / "out").mkdir()
    result = ringway("vm", "-t", "formats", "--results", "out", "--", "ls", "-l", "--all")
    assert result.status == 0
    assert started.job.command == ("ls", "-l", "--all")
    assert started.job.directory == folder
    assert started.job.environment["COLOUR"] == "red"
    assert started.job.environment["RINGWAY_VM"] == "formats"
    assert started.job.results == [folder / "out"]
    assert started.job.topology.name == "formats"
    assert started.deadline is None


def test_words_after_the_command_are_its_own(ringway: Any, started: SimpleNamespace) -> None:
    ringway("vm", "ls", "--timeout", "3s")
    assert started.job.command == ("ls", "--timeout", "3s")


def test_the_commands_status_is_ours(ringway: Any, started: SimpleNamespace) -> None:
    started.status = 7
    assert ringway("vm", "--", "false").status == 7


def test_options_reach_the_host_and_the_machine(
    ringway: Any, started: SimpleNamespace, folder: Path
) -> None:
    (folder / "kernel").touch()
    options = ["--kernel", "kernel", "--accel", "kvm", "--timeout", "1m", "--log", "guest.log"]
    ringway("vm", *options, "--", "true")
    assert started.asked == (Path("kernel"), "kvm", False)
    assert 50 < started.deadline - time.monotonic() <= 60
    assert started.log == Path("guest.log")
    ringway("vm", "--count-instructions", "--", "true")
    assert started.asked == (None, "auto", True)


def test_emulation_is_told_with_its_reason(ringway: Any, started: SimpleNamespace) -> None:
    result = ringway("vm", "--", "true")
    assert "emulating, tens of times slower: there is no /dev/kvm" in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnavailableError("there is no QEMU"), 125),
        (PanicError("the guest's kernel panicked"), 125),
        (StoppedError("interrupted"), 130),
    ],
)
def test_a_machine_that_fails_is_one_line(
    ringway: Any, started: SimpleNamespace, error: Exception, status: int
) -> None:
    started.error = error
    result = ringway("vm", "--", "true")
    assert result.status == status
    assert result.err.splitlines()[-1] == f"ringway: {error}"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["vm"], "give a command after --"),
        (["vm", "-t", "formatz", "--", "ls"], "formats"),
        (["vm", "--results", "nowhere", "--", "ls"], "nowhere"),
        (["vm", "--accel", "xen", "--", "ls"], "xen"),
    ],
)
def test_bad_usage_is_status_2(
    ringway: Any, started: SimpleNamespace, words: list[str], part: str
) -> None:
    result = ringway(*words)
    assert result.status == 2
    assert part in result.err
    assert started.job is None


def test_the_topologies_are_listed(ringway: Any) -> None:
    result = ringway("vm", "--list")
    assert result.status == 0
    for name in ("basic", "formats", "contract", "sriov"):
        assert name in result.out


def test_the_exact_command_line_is_printed(
    ringway: Any, started: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "command_line", lambda host, job: ["qemu", "-m", "2 G"])
    result = ringway("vm", "--print")
    assert result.out == "qemu -m '2 G'\n"
    assert started.job is None
