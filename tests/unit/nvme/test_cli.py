"""The commands: what they print, where, and their exit status."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

import msgspec
import pytest
from click.testing import CliRunner

from ringway.cli import nvme as commands
from ringway.cli.app import cli, run
from ringway.nvme.journal import Owner
from ringway.nvme.sysfs import read_controller

PCI = "0000:01:00.0"


class Result:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def ringway(new_lender, monkeypatch, capsys):
    """``ringway nvme …`` on the machine of files."""

    def lender(timeout: float):
        assert timeout >= 0
        return new_lender()

    def call(*arguments: str) -> Result:
        status = run(["nvme", *arguments])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    monkeypatch.setattr(commands, "lender", lender)
    return call


def test_no_controllers(ringway) -> None:
    assert "no NVMe controllers" in ringway("list").out


def test_list(tree, ringway) -> None:
    tree.controller()
    tree.controller("0000:02:00.0", "nvme1", group=None, blocks=("nvme1n1",))
    tree.device("0000:01:00.1", "0x020000", None, "7")
    tree.mountinfo("9 1 259:0 / /srv rw - ext4 /dev/nvme1n1 rw")
    result = ringway("list")
    assert result.status == 0
    for text in (
        "0000:01:00.0  Fast Drive S1",
        "nvme (nvme0)",
        "7, with 0000:01:00.1 (no driver)",
        "/dev/nvme0n1, /dev/ng0n1: 1 MiB in blocks of 512 bytes",
        "none: nothing protects memory",
        "nvme1n1 is mounted at /srv",
    ):
        assert text in result.out


def test_list_as_json(tree, ringway, new_lender) -> None:
    tree.controller()
    document = json.loads(ringway("list", "--json").out)
    assert document["schema"] == "ringway.nvme.list/1"
    (entry,) = document["controllers"]
    assert (entry["pci"], entry["bindable"], entry["hindrances"]) == (PCI, True, [])
    assert entry["namespaces"][0]["character"] == "ng0n1"
    new_lender().bind(PCI, commands_wish())
    (entry,) = json.loads(ringway("list", "--json").out)["controllers"]
    assert (entry["driver"], entry["bindable"], entry["original"]) == ("vfio-pci", False, "nvme")
    assert entry["model"] == "Fast Drive", "the journal remembers it"


def commands_wish():
    from ringway.nvme import Wish

    return Wish()


def test_list_shows_what_only_the_kernel_knows(tree, ringway) -> None:
    tree.controller()
    tree.claimed.add("nvme0n1")
    assert "claimed exclusively" in ringway("list").out


def test_list_shows_who_drives_it(tree, ringway) -> None:
    tree.controller()
    ringway("bind", PCI)
    tree.process(42, str(tree.root / "dev/vfio/7"), name="spdk_tgt")
    assert "process 42 (spdk_tgt) has /dev/vfio/7 open" in ringway("list").out


def test_bind_tells_before_and_after(tree, ringway) -> None:
    tree.controller()
    result = ringway("bind", "01:00.0")
    assert result.status == 0
    assert "from nvme to vfio-pci; gone until it is given back: /dev/nvme0, " in result.err
    assert f"ringway nvme unbind {PCI}" in result.out
    assert "was bound already" in ringway("bind", PCI).out
    assert f"{PCI} is back with nvme: /dev/nvme0n1" in ringway("unbind", PCI).out


def test_results_as_json(tree, ringway) -> None:
    tree.controller()
    document = json.loads(ringway("bind", PCI, "--json").out)
    assert document["schema"] == "ringway.nvme.outcome/1"
    assert (document["driver"], document["changed"]) == ("vfio-pci", True)
    assert json.loads(ringway("unbind", PCI, "--json").out)["blocks"] == ["nvme0n1"]
    assert json.loads(ringway("restore", "--json").out)["back"] == []


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["bind", "0000:09:00.0"], 2, "there is no PCI device"),
        (["bind", "nvme0"], 2, "is no PCI address"),
        (["bind", PCI, "--owner", "nobody-of-that-name"], 2, "there is no user"),
        (["bind", PCI, "--json", "--", "true"], 2, "do not go with a COMMAND"),
        (["bind", PCI, "--", "no-such-command-here"], 2, "there is no command"),
        (["bind", PCI], 1, "mounted at /srv: unmount it first"),
        (["bind", PCI, "--dry-run"], 1, "mounted at /srv: unmount it first"),
        (["unbind", "0000:09:00.0"], 2, "there is no PCI device"),
    ],
)
def test_refusals(tree, ringway, arguments: list[str], status: int, text: str) -> None:
    tree.controller()
    tree.mountinfo("9 1 259:0 / /srv rw - ext4 /dev/nvme0n1 rw")
    result = ringway(*arguments)
    assert (result.status, result.out) == (status, "")
    assert text in result.err
    assert tree.written == []


def test_a_dry_run_only_tells(tree, ringway) -> None:
    tree.controller()
    result = ringway("bind", PCI, "--dry-run", "--owner", "0")
    assert result.status == 0
    assert "user 0 may then drive it" in result.err
    assert tree.written == []


def test_a_command_has_the_controller_while_it_runs(tree, ringway, host) -> None:
    tree.controller()
    node = tree.root / "dev/vfio/7"
    script = f"import os, sys; sys.exit(7 if os.path.exists({str(node)!r}) else 1)"
    assert ringway("bind", PCI, "--", sys.executable, "-c", script).status == 7
    assert read_controller(host, PCI).driver == "nvme"


def test_a_signal_ends_the_command_and_gives_back(tree, ringway, host) -> None:
    tree.controller()

    def end() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    timer = threading.Timer(0.5, end)
    timer.start()
    assert ringway("bind", PCI, "--", "sleep", "60").status == 128 + signal.SIGTERM
    assert read_controller(host, PCI).driver == "nvme"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_the_dead_left_is_given_back_first(tree, ringway, new_lender) -> None:
    tree.controller()
    ringway("bind", PCI)
    journal = new_lender().journal
    dead = Owner(pid=999, start=1, space="pid:[1]")
    journal.write(msgspec.structs.replace(journal.read(PCI), owner=dead))
    result = ringway("list")
    assert "left by a process that was killed: 0000:01:00.0 is back with nvme" in result.err
    assert "possible" in result.out


def test_what_root_has_bound_is_roots_to_restore(tree, ringway, monkeypatch) -> None:
    from ringway.nvme import journal

    tree.controller()
    tree.write(f"run/{PCI}.json")
    monkeypatch.setattr(journal, "SYSTEM_FOLDER", tree.root / "run")
    assert f"root has bound {PCI}: run it as root" in ringway("restore").out


def test_restore(tree, ringway) -> None:
    tree.controller()
    tree.controller("0000:02:00.0", "nvme1", group="8", blocks=("nvme1n1",))
    assert ringway("restore").out == "nothing to give back\n"
    ringway("bind", PCI)
    ringway("bind", "02:00.0")
    assert ringway("restore", PCI).out == f"{PCI} is back with nvme: /dev/nvme0n1\n"
    assert "0000:02:00.0 is back" in ringway("restore").out


def test_restore_goes_on_after_a_failure(tree, ringway) -> None:
    tree.controller()
    tree.controller("0000:02:00.0", "nvme1", group="8", blocks=("nvme1n1",))
    ringway("bind", PCI)
    tree.process(42, str(tree.root / "dev/vfio/7"))
    ringway("bind", "02:00.0")
    tree.process(42, str(tree.write("dev/vfio/7")))
    result = ringway("restore")
    assert result.status == 1
    assert "process 42 (fio)" in result.err
    assert "0000:02:00.0 is back with nvme" in result.out


def test_addresses_are_completed(tree, ringway) -> None:
    tree.controller()
    result = CliRunner().invoke(
        cli,
        prog_name="ringway",
        env={
            "_RINGWAY_COMPLETE": "bash_complete",
            "COMP_WORDS": "ringway nvme bind 0000",
            "COMP_CWORD": "3",
        },
    )
    assert PCI in result.output


@pytest.mark.parametrize("command", [[], ["list"], ["bind"], ["unbind"], ["restore"]])
def test_help(ringway, command: list[str]) -> None:
    assert ringway(*command, "--help").status == 0
