"""The machine as tests in it see it: controllers and namespaces of the topology, QEMU's monitor."""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ringway.nvme.sysfs import Controller as Seen

    from .topology import Topology

_MONITOR = "/dev/virtio-ports/ringway.qmp"
#: Longer than the host waits for QEMU's answer to one command, in seconds.
_PATIENCE = 60.0
#: How often a controller is looked at that keeps changing.
_LOOKS = 100


class QmpError(RuntimeError):
    """QEMU refused a command, or did not answer; the text is its own."""


@dataclass(frozen=True)
class Namespace:
    """A namespace; what only the kernel's driver knows is None without it."""

    nsid: int
    #: The block device, /dev/nvme0n1, and the character device for passthrough, /dev/ng0n1.
    block: str | None
    generic: str | None
    #: Bytes, and bytes of a logical block.
    size: int | None
    lba: int


@dataclass(frozen=True)
class Controller:
    """A controller of the topology, as it is now."""

    #: As in the topology, and for QMP.
    name: str
    #: 0000:01:00.0; it stays when the controller is unplugged.
    pci: str
    #: nvme, vfio-pci, or None.
    driver: str | None
    #: The character device, /dev/nvme0; None without the kernel's driver.
    device: str | None
    namespaces: tuple[Namespace, ...]


class EmulatedNvme:
    """The machine that the caller runs in.

    topology: a name or a file, as in the variable RINGWAY_VM.
    """

    def __init__(self, topology: str) -> None:
        self.topology = topology

    @cached_property
    def _plan(self) -> Topology:
        from .topologies import load_topology

        return load_topology(self.topology)

    @property
    def controllers(self) -> list[Controller]:
        """The topology's controllers in its order, looked up anew each time."""
        from .controllers import controller_addresses

        addresses = controller_addresses(self._plan)
        return [self._look(number, address) for number, address in enumerate(addresses.values())]

    def controller(self, name: str) -> Controller:
        """The controller of that name. Raises LookupError with the nearest."""
        for controller in self.controllers:
            if controller.name == name:
                return controller
        from ..nearest import unknown

        raise LookupError(unknown("controller", name, (c.name for c in self._plan.controllers)))

    def first_namespace(self, kind: Literal["block", "generic"]) -> str:
        """The first device of a kind that there is. Raises LookupError."""
        for controller in self.controllers:
            for namespace in controller.namespaces:
                if device := getattr(namespace, kind):
                    return str(device)
        raise LookupError(
            f"no namespace of the topology {self.topology} has a {kind} device now:"
            " it takes the kernel's nvme driver"
        )

    def qmp(self, command: str, **arguments: Any) -> Any:
        """Runs a command of QEMU's monitor; what it returns. Raises QmpError.

        Names with a hyphen are given as ``**{"node-name": …}``. Source: QEMU QMP Reference Manual.
        """
        answer = _ask({"execute": command, "arguments": arguments})
        if "error" in answer:
            raise QmpError(answer["error"])
        return answer["return"]

    def _look(self, number: int, address: str) -> Controller:
        plan = self._plan.controllers[number]
        seen = _seen(address)
        by_nsid = {namespace.nsid: namespace for namespace in seen.namespaces}

        def namespaces() -> Iterator[Namespace]:
            for space in plan.namespaces:
                assert space.nsid is not None
                now = by_nsid.get(space.nsid)
                yield Namespace(
                    space.nsid,
                    _node(now.block if now else None),
                    _node(now.character if now else None),
                    now.size if now else None,
                    space.lba,
                )

        return Controller(plan.name, address, seen.driver, _node(seen.name), tuple(namespaces()))


def _seen(address: str) -> Seen:
    """What sysfs has of it, read anew where it changed meanwhile."""
    from ringway.nvme.host import Host
    from ringway.nvme.sysfs import read_controller

    for _ in range(_LOOKS):
        try:
            return read_controller(Host(), address)
        except FileNotFoundError:
            continue
    raise LookupError(f"{address} came and went while it was looked at")


def _node(name: str | None) -> str | None:
    return f"/dev/{name}" if name else None


def _ask(request: dict[str, Any]) -> Any:
    """One request and its answer, a line of JSON each."""
    try:
        port = os.open(_MONITOR, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise QmpError(f"the monitor cannot be reached: {_MONITOR}: {error.strerror}") from error
    try:
        data = json.dumps(request).encode() + b"\n"
        while data:
            data = data[os.write(port, data) :]
        return json.loads(_line(port, time.monotonic() + _PATIENCE))
    finally:
        os.close(port)


def _line(port: int, deadline: float) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([port], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise QmpError(f"the monitor did not answer within {_PATIENCE:.0f} s")
        part = os.read(port, 65536)
        if not part:
            raise QmpError("the host has closed the monitor's port")
        line += part
    return line
