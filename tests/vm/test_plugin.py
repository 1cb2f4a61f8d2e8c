"""The pytest plugin on real machines, as another project uses it: three boots in all."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringway.vm.errors import UnavailableError
from ringway.vm.host import find_host

PAGE = Path(__file__).resolve().parents[2] / "docs/testing-with-emulated-nvme.md"
COMMAND = (sys.executable, "-m", "pytest", "--emulated-nvme=auto")
#: Several times what an emulated machine takes here, in seconds.
PATIENCE = 280

OUTCOMES = """
import logging
import os
import unittest
import warnings

import pytest

pytestmark = pytest.mark.emulated_nvme


def test_passes(emulated_nvme, nvme_block_device, nvme_char_device, nvme_pci_address, tmp_path):
    (tmp_path / "note").write_text("kept in memory")
    assert os.uname().nodename == "ringway"
    assert (nvme_block_device, nvme_char_device) == ("/dev/nvme0n1", "/dev/ng0n1")
    (controller,) = emulated_nvme.controllers
    assert (controller.name, controller.pci) == ("nvme0", nvme_pci_address)
    assert (controller.driver, controller.device) == ("nvme", "/dev/nvme0")
    (namespace,) = controller.namespaces
    assert (namespace.nsid, namespace.size, namespace.lba) == (1, 1 << 30, 512)
    assert emulated_nvme.qmp("query-status")["running"]
    open("gone.txt", "w").close()


@pytest.mark.parametrize("size", [512, 4096])
def test_fails(size):
    print("size is", size)
    logging.warning("logged there")
    assert size == 512


class TestUnit(unittest.TestCase):
    def test_warns(self):
        warnings.warn("careful", DeprecationWarning)


@pytest.mark.skipif("RINGWAY_VM" in os.environ, reason="there, not here")
def test_is_skipped():
    pass


@pytest.mark.asyncio
async def test_unplugs(emulated_nvme):
    import asyncio

    emulated_nvme.qmp("device_del", id="nvme0")
    for _ in range(600):
        if emulated_nvme.controller("nvme0").driver is None:
            break
        await asyncio.sleep(0.1)
    assert not os.path.exists("/dev/nvme0n1")
    assert emulated_nvme.controller("nvme0").device is None
"""

TROUBLE = """
import time

import pytest

pytestmark = pytest.mark.emulated_nvme


def test_panics():
    with open("/proc/sysrq-trigger", "w") as trigger:
        trigger.write("c")
    time.sleep(60)


def test_waits():
    print("waiting", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module", autouse=True)
def _host() -> None:
    """These tests start machines themselves."""
    if "RINGWAY_VM" in os.environ:
        pytest.skip("in a machine there is no second one")
    try:
        find_host()
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project, in which pytest knows nothing of this one."""
    monkeypatch.chdir(tmp_path)
    for name in ("PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def first_example() -> str:
    """The test that the page begins with."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


def test_a_new_project_needs_nothing_but_the_marker(project: Path) -> None:
    (project / "test_drive.py").write_text(first_example())
    (project / "test_outcomes.py").write_text(OUTCOMES)
    done = subprocess.run(
        [*COMMAND, "-v", "-rA", "--durations=2"], capture_output=True, text=True, timeout=PATIENCE
    )
    out = done.stdout
    assert re.search(r"= 1 failed, 5 passed, 1 skipped, 1 warning in ", out), out + done.stderr
    assert out.count("booting a machine of topology basic") == 1
    assert "test_outcomes.py::test_fails[512] PASSED" in out
    assert "test_outcomes.py::test_fails[4096] FAILED" in out
    assert "E       assert 4096 == 512" in out
    assert re.search(r"Captured stdout call -+\nsize is 4096\n", out)
    assert re.search(r"WARNING .* logged there", out)
    assert "DeprecationWarning: careful" in out
    assert re.search(r"SKIPPED \[1\] test_outcomes.py:\d+: there, not here", out)
    assert re.search(r"\d+\.\d\ds (setup|call) +test_", out)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert not (project / "gone.txt").exists()


def test_a_panic_and_ctrl_c(project: Path) -> None:
    (project / "test_trouble.py").write_text(TROUBLE)
    with open("out.txt", "w") as file:
        process = subprocess.Popen(
            [*COMMAND, "-s", "--emulated-nvme-log=logs"], stdout=file, stderr=file
        )
    try:
        await_true(lambda: "waiting" in Path("out.txt").read_text() or process.poll() is not None)
        machines = list(children(process.pid))
        assert machines, Path("out.txt").read_text()
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    out = Path("out.txt").read_text()
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "Kernel panic - not syncing: sysrq triggered crash" in out
    assert "End of the machine's console" in out
    assert "KeyboardInterrupt" in out
    assert out.count("booting a machine") == 2
    assert not [machine for machine in machines if Path("/proc", str(machine)).exists()]
    assert "sysrq triggered crash" in (project / "logs/basic-1.log").read_text()


def children(parent: int) -> Iterator[int]:
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if f"\nPPid:\t{parent}\n" in text:
            yield int(status.parent.name)


def await_true(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, Path("out.txt").read_text()
        time.sleep(0.2)
