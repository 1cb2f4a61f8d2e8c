"""pytest plugin: tests marked ``emulated_nvme`` run in a machine with emulated NVMe drives.

Here is what every session of pytest pays for: options, the marker, the fixtures. The rest is
imported once a marked test has been collected. On the host the tests are run by pytest_runner.py;
in the machine the marker says nothing, and pytest_guest.py obeys the host.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from . import IN_MACHINE

if TYPE_CHECKING:
    from .guest_api import EmulatedNvme

MARK = "emulated_nvme"
#: The port between the two sessions of pytest.
PORT = "pytest"
#: The variable for a file descriptor in its place, where tests have a process for a machine.
PORT_PLACE = "RINGWAY_PYTEST_PORT"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("emulated-nvme", "tests in a machine with emulated NVMe drives")
    group.addoption(
        "--emulated-nvme",
        choices=["auto", "off", "kvm", "tcg"],
        help="how marked tests run: under KVM or emulated (tcg), where it is an error if they"
        " cannot; auto: as best they can here, else skipped; off: skipped [auto]",
    )
    group.addoption(
        "--emulated-nvme-kernel",
        metavar="PATH",
        help="kernel image, or folder of an unpacked kernel package [the distribution's]",
    )
    group.addoption(
        "--emulated-nvme-log",
        metavar="DIR",
        help="keep the console log of every machine in this folder",
    )
    group.addoption(
        "--emulated-nvme-timeout",
        metavar="SECONDS",
        help="longest that one test may take; then it fails, and the machine is booted anew [600]",
    )
    parser.addini("emulated_nvme", "default of --emulated-nvme", default="auto")
    parser.addini("emulated_nvme_kernel", "default of --emulated-nvme-kernel", default="")
    parser.addini("emulated_nvme_timeout", "default of --emulated-nvme-timeout", default="600")
    parser.addini("emulated_nvme_topology", "topology of a bare emulated_nvme", default="basic")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARK}(topology): run the test in a machine with emulated NVMe drives;"
        " `ringway vm --list` names the topologies, and a TOML file can be one.",
    )


# ------------------------------------------------------------ on the host


def _is_ours(node: object) -> bool:
    return isinstance(node, pytest.Item) and node.get_closest_marker(MARK) is not None


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, None]:
    """A topology that there is not makes a collection error."""
    outcome = yield
    report: pytest.CollectReport = outcome.get_result()
    marked: list[Any] = [node for node in report.result or () if _is_ours(node)]
    if marked and IN_MACHINE not in os.environ:
        from .pytest_marks import refuse_wrong

        refuse_wrong(report, marked)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """The order is final, and marked tests get their runner."""
    if IN_MACHINE not in os.environ and any(map(_is_ours, session.items)):
        from .pytest_runner import Runner

        runner = Runner(session)
        session.items[:] = runner.arranged()
        session.config.pluginmanager.register(runner, "emulated-nvme-runner")


# ------------------------------------------------------------ fixtures


@pytest.fixture(scope="session")
def emulated_nvme() -> EmulatedNvme:
    """The machine that the test runs in: its controllers, and QEMU's monitor."""
    if IN_MACHINE not in os.environ:
        pytest.fail(
            f"this fixture is for tests in a machine: mark the test with @pytest.mark.{MARK}",
            pytrace=False,
        )
    from .guest_api import EmulatedNvme

    return EmulatedNvme(os.environ[IN_MACHINE])


@pytest.fixture
def nvme_block_device(emulated_nvme: EmulatedNvme) -> str:
    """The first namespace's block device: /dev/nvme0n1."""
    return emulated_nvme.first_namespace("block")


@pytest.fixture
def nvme_char_device(emulated_nvme: EmulatedNvme) -> str:
    """The first namespace's character device, for passthrough: /dev/ng0n1."""
    return emulated_nvme.first_namespace("generic")


@pytest.fixture
def nvme_pci_address(emulated_nvme: EmulatedNvme) -> str:
    """The first controller's PCI address: 0000:01:00.0."""
    return emulated_nvme.controllers[0].pci
