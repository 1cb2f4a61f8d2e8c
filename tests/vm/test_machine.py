"""A real machine, from the host's side: streams, status, results, and every way to end badly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ringway.vm import machine as machine_module
from ringway.vm.errors import TimeLimitError, UnavailableError
from ringway.vm.host import Host, find_host
from ringway.vm.job import Job
from ringway.vm.machine import Machine
from ringway.vm.streams import close_input
from ringway.vm.topologies import load_topology

#: Many times what a machine takes, in seconds.
LONG = 120

RINGWAY = (sys.executable, "-c", "from ringway.cli import main; main()")

pytestmark = pytest.mark.skipif(
    "RINGWAY_VM" in os.environ, reason="machines are started from outside, not from within one"
)


@pytest.fixture(scope="session")
def host() -> Host:
    try:
        return find_host()
    except UnavailableError as error:
        pytest.skip(str(error))


Vm = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def vm(host: Host, tmp_path: Path) -> Iterator[Vm]:
    """Starts ``ringway vm`` with some options and a command; logs are kept in tmp_path."""
    started = []

    def start(*words: str, options: Sequence[str] = (), **more: Any) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "TMPDIR": str(tmp_path), "COLOUR": "a 'b'\n$c"}
        process = subprocess.Popen(
            [*RINGWAY, "vm", *options, "--", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            preexec_fn=_interruptible,
            **more,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _interruptible() -> None:
    """Where the tests run in the background SIGINT may be ignored, and that is inherited."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def emulators(process: subprocess.Popen[bytes]) -> list[int]:
    """The QEMUs that this process has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children]


def await_machine(process: subprocess.Popen[bytes]) -> int:
    """The process id of its QEMU, once the command in it has said something."""
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    (pid,) = emulators(process)
    return pid


def is_gone(pid: int) -> bool:
    """Or nothing of it but what its parent has not yet asked for."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def kept_log(process: subprocess.Popen[bytes], error: bytes) -> str:
    return Path(error.decode().rsplit("log is ", 1)[1].strip()).read_text()


def test_streams_environment_folder_and_status_are_the_callers(vm: Vm, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    script = 'cat; pwd; printf "%s" "$COLOUR"; test -b /dev/nvme0n1 && echo drive >&2; exit 7'
    process = vm("sh", "-c", script, cwd=folder)
    payload = bytes(range(256)) * 4096
    out, error = process.communicate(payload, LONG)
    assert out == payload + f"{folder}\na 'b'\n$c".encode()
    assert error.endswith(b"drive\n")
    assert process.returncode == 7


def test_a_slow_reader_gets_all_of_the_output(vm: Vm) -> None:
    """What is on its way when the command ends is more than pipes and ports hold."""
    script = "dd if=/dev/zero bs=32k count=100 2>/dev/null; echo also >/dev/stderr; echo end"
    process = vm("sh", "-c", script)
    assert process.stdout is not None
    assert process.stderr is not None
    time.sleep(8)
    assert process.stdout.read() == bytes(100 * 32768) + b"end\n"
    assert process.stderr.read().endswith(b"also\n")
    assert process.wait(LONG) == 0


def test_output_that_nobody_reads_does_not_hold_up_the_time_limit(vm: Vm) -> None:
    process = vm("yes", options=["--timeout", "9s"])
    assert process.wait(LONG) == 125


def test_only_results_are_kept(vm: Vm, tmp_path: Path) -> None:
    results, other = tmp_path / "results", tmp_path / "other"
    results.mkdir()
    other.mkdir()
    script = f"echo kept >{results}/a && echo lost >{other}/b && cat {results}/a {other}/b; kill $$"
    process = vm("sh", "-c", script, options=["--results", str(results)])
    out, _ = process.communicate(None, LONG)
    assert out == b"kept\nlost\n"
    assert process.returncode == 128 + signal.SIGTERM
    assert (results / "a").read_text() == "kept\n"
    assert list(other.iterdir()) == []


def test_ctrl_c_ends_the_machine(vm: Vm) -> None:
    process = vm("sh", "-c", "echo ready; sleep 1000")
    pid = await_machine(process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(None, LONG)
    assert process.returncode == 130
    assert b"interrupted; the machine's log is" in error
    assert is_gone(pid)


def test_qemu_does_not_outlive_a_killed_parent(vm: Vm) -> None:
    process = vm("sh", "-c", "echo ready; sleep 1000")
    pid = await_machine(process)
    process.kill()
    process.wait(LONG)
    assert is_gone(pid)


def test_a_dead_qemu_is_an_error(vm: Vm) -> None:
    process = vm("sh", "-c", "echo ready; sleep 1000")
    os.kill(await_machine(process), signal.SIGKILL)
    _, error = process.communicate(None, LONG)
    assert process.returncode == 125
    assert b"QEMU was killed by signal 9" in error
    assert Path(error.decode().rsplit("log is ", 1)[1].strip()).exists()


def test_a_panic_is_an_error_with_the_log(vm: Vm) -> None:
    process = vm("sh", "-c", "echo c >/proc/sysrq-trigger")
    _, error = process.communicate(None, LONG)
    assert process.returncode == 125
    assert b"the guest's kernel panicked" in error
    assert "sysrq triggered crash" in kept_log(process, error)


def test_the_time_limit_holds(vm: Vm) -> None:
    begun = time.monotonic()
    process = vm("sleep", "1000", options=["--timeout", "9s"])
    _, error = process.communicate(None, LONG)
    assert process.returncode == 125
    assert b"the time limit passed" in error
    assert time.monotonic() - begun < 60


def test_a_machine_that_takes_too_long_to_come_up_is_ended(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine_module, "BOOT_LIMIT", 0.5)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    job = Job(command=["true"], topology=load_topology("basic"), directory=tmp_path, environment={})
    with Machine(host, job) as machine, pytest.raises(TimeLimitError, match="within 0 s") as caught:
        machine.wait()
    assert caught.value.log is not None
    assert caught.value.log.parent == tmp_path


def test_a_driver_that_the_kernel_lacks_is_named(vm: Vm, host: Host, tmp_path: Path) -> None:
    topology = tmp_path / "broken.toml"
    topology.write_text('[machine]\nmodules = ["no_such_driver"]\n')
    process = vm("true", options=["--topology", str(topology)])
    _, error = process.communicate(None, LONG)
    assert process.returncode == 125
    assert b"has no module no_such_driver" in error


def test_the_monitor_from_both_sides_and_ports_of_ones_own(host: Host) -> None:
    """The guest has its own drive unplugged."""
    job = Job(
        command=["sh", "-c", GUEST_WITH_MONITOR],
        topology=load_topology("basic"),
        directory=Path("/"),
        environment={"PATH": os.environ["PATH"]},
        ports=["extra"],
    )
    said: list[bytes] = []
    with Machine(host, job) as machine:
        machine.on_data("extra", said.append)
        close_input(machine)
        assert machine.wait(time.monotonic() + LONG) == 0, said
        assert machine.monitor().execute("query-status")["running"]
    lines = b"".join(said).decode().splitlines()
    assert json.loads(lines[0])["return"] == {}
    assert "Device 'nothing' not found" in json.loads(lines[1])["error"]
    assert lines[2] == "gone"


GUEST_WITH_MONITOR = """
exec 3<>/dev/virtio-ports/ringway.qmp 4>/dev/virtio-ports/ringway.extra
echo '{"execute": "device_del", "arguments": {"id": "nvme0"}}' >&3
read -r answer <&3; echo "$answer" >&4
echo '{"execute": "device_del", "arguments": {"id": "nothing"}}' >&3
read -r answer <&3; echo "$answer" >&4
for i in $(seq 60); do
	[ ! -e /dev/nvme0n1 ] && echo gone >&4 && exit 0
	sleep 1
done
exit 1
"""
