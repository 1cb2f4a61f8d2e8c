"""What tests in a machine are told of it, with a made-up sysfs and monitor."""

from __future__ import annotations

import json
import os
import threading
import tty
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ringway.nvme.sysfs import Controller, Namespace
from ringway.vm import guest_api
from ringway.vm.guest_api import EmulatedNvme, QmpError

Sysfs = dict[str, Controller]
Answer = Callable[[dict[str, Any]], bytes]


@pytest.fixture
def sysfs(monkeypatch: pytest.MonkeyPatch) -> Sysfs:
    """Controllers by address; those that are not in it are unplugged."""
    found: Sysfs = {}
    absent = Controller(pci="", driver=None)
    monkeypatch.setattr(guest_api, "_seen", lambda address: found.get(address, absent))
    return found


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], None]]:
    """A port whose other end answers one request."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    monkeypatch.setattr(guest_api, "_MONITOR", os.ttyname(theirs))
    threads = []

    def answer(by: Answer) -> None:
        def serve() -> None:
            request = b""
            while not request.endswith(b"\n"):
                request += os.read(ours, 4096)
            os.write(ours, by(json.loads(request)))

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()

    yield answer
    for thread in threads:
        thread.join(10)
    os.close(ours)
    os.close(theirs)


def test_the_topology_and_what_the_kernel_made_of_it(sysfs: Sysfs) -> None:
    space = Namespace(nsid=1, block="nvme3n1", character="ng3n1", size=1 << 30, block_size=512)
    sysfs["0000:01:00.0"] = Controller(
        pci="0000:01:00.0", driver="nvme", name="nvme3", namespaces=[space]
    )
    machine = EmulatedNvme("basic")
    (controller,) = machine.controllers
    assert controller == machine.controller("nvme0")
    assert (controller.name, controller.pci) == ("nvme0", "0000:01:00.0")
    assert (controller.driver, controller.device) == ("nvme", "/dev/nvme3")
    assert controller.namespaces == (
        guest_api.Namespace(1, "/dev/nvme3n1", "/dev/ng3n1", 1 << 30, 512),
    )
    assert machine.first_namespace("block") == "/dev/nvme3n1"
    assert machine.first_namespace("generic") == "/dev/ng3n1"


def test_an_unplugged_controller_stays_known(sysfs: Sysfs) -> None:
    machine = EmulatedNvme("basic")
    assert machine.controller("nvme0").device is None
    assert machine.controller("nvme0").namespaces[0].block is None
    with pytest.raises(LookupError, match="no namespace of the topology basic has a block device"):
        machine.first_namespace("block")


def test_the_nearest_name_of_a_controller(sysfs: Sysfs) -> None:
    with pytest.raises(LookupError, match="unknown controller 'nvme00'; did you mean nvme0"):
        EmulatedNvme("basic").controller("nvme00")


def test_a_controller_that_changes_while_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Controller(pci="x", driver=None)
    looks = iter([FileNotFoundError(), there])

    def look(*_: object) -> Controller:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("ringway.nvme.sysfs.read_controller", look)
    assert guest_api._seen("x") is there


def test_the_monitor_answers(monitor: Callable[[Answer], None]) -> None:
    monitor(lambda request: json.dumps({"return": request}).encode() + b"\n")
    given = {"node-name": "nvme0n1", "size": 4096}
    assert EmulatedNvme("basic").qmp("block_resize", **given) == {
        "execute": "block_resize",
        "arguments": given,
    }


def test_the_monitor_refuses(monitor: Callable[[Answer], None]) -> None:
    monitor(lambda request: b'{"error": "device_del: no device"}\n')
    with pytest.raises(QmpError, match="device_del: no device"):
        EmulatedNvme("basic").qmp("device_del", id="x")


def test_the_monitor_is_silent(
    monitor: Callable[[Answer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_api, "_PATIENCE", 0.1)
    monitor(lambda request: b"{")
    with pytest.raises(QmpError, match="did not answer within"):
        EmulatedNvme("basic").qmp("query-status")


def test_there_is_no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_api, "_MONITOR", "/nowhere")
    with pytest.raises(QmpError, match="cannot be reached: /nowhere: No such file"):
        EmulatedNvme("basic").qmp("query-status")
