"""What holds a namespace's data, as nodes of QEMU's block layer, injected faults among them.

From the bottom up, for namespace 1 of controller nvme0; layers that nobody asked for are not there:

    nvme0n1-data     the file, or null-co
    nvme0n1-fault0   blkdebug, one node per fault of the topology
    nvme0n1-count0   raw, above a fault that counts commands: it tells blkdebug about each
    nvme0n1-limit    throttle, with the limits of the object nvme0n1-limits
    nvme0n1          raw, always there: what the namespace uses

Source: QEMU QMP Reference Manual, BlockdevOptions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from .namespace import Fault, Limit, Namespace
from .topology import Topology

#: QEMU's block layer counts in sectors of 512 bytes.
_SECTOR = 512


@dataclass(frozen=True)
class Storage:
    """A file that must be there, empty and of this size, before QEMU starts."""

    #: The namespace: nvme0n1.
    drive: str
    #: In memory (memfd_create(2)), or a temporary file on disk.
    backing: Literal["memory", "file"]
    #: Bytes, metadata included.
    size: int


def storage(topology: Topology) -> list[Storage]:
    """The files that a topology needs, in its order. Sparse ones will do."""
    return [
        Storage(drive, "memory" if space.backing == "memory" else "file", space.stored)
        for controller in topology.controllers
        for drive, space in zip(controller.drives, controller.namespaces, strict=True)
        if space.backing != "null" and space.file is None
    ]


def drive_arguments(drive: str, space: Namespace, files: Mapping[str, str]) -> list[str]:
    """``-object`` and ``-blockdev`` for a namespace.

    files: the name of the file made for each Storage, as QEMU is to open it. Raises KeyError
    where it is not among them.
    """
    arguments: list[str] = []
    if space.limit:
        arguments += ["-object", _throttle_group(drive, space.limit)]
    for driver, options in _nodes(drive, space, files):
        # Freed blocks are given back, by every layer, and read as zeroes.
        options = {**options, "discard": "unmap"}
        arguments += ["-blockdev", keyval(f"driver={driver}", options)]
    return arguments


def keyval(head: str, options: Mapping[str, Any]) -> str:
    """``head,key=value,…`` as QEMU's command line has it: on and off, commas in values doubled."""
    return ",".join([head, *(f"{key}={_value(value)}" for key, value in options.items())])


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value).replace(",", ",,")


def _nodes(
    drive: str, space: Namespace, files: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Driver and options of every node, the lowest first."""
    below = f"{drive}-data"
    yield _data(drive, space, files)
    for number, fault in enumerate(space.faults):
        node = f"{drive}-fault{number}"
        yield "blkdebug", {"node-name": node, "image": below, **_rules(fault, space.lba)}
        below = node
        if fault.after:
            below = f"{drive}-count{number}"
            yield "raw", {"node-name": below, "file": node}
    if space.limit:
        node = f"{drive}-limit"
        group = f"{drive}-limits"
        yield "throttle", {"node-name": node, "throttle-group": group, "file": below}
        below = node
    yield "raw", {"node-name": drive, **_access(space), "file": below}


def _data(drive: str, space: Namespace, files: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    name = {"node-name": f"{drive}-data"}
    if space.backing == "null":
        latency = {"latency-ns": space.latency.nanoseconds} if space.latency else {}
        return "null-co", {**name, "size": int(space.size or 0), "read-zeroes": True, **latency}
    if space.file is not None:
        return "file", {**name, "filename": space.file, **_access(space)}
    # Nobody looks at it after the machine, and nobody else opens it: flushes and locks cost only.
    spared = {"cache.no-flush": True, "locking": "off"}
    return "file", {**name, "filename": files[drive], **spared}


def _access(space: Namespace) -> dict[str, Any]:
    return {"read-only": True} if space.file is not None and not space.writable else {}


def _rules(fault: Fault, lba: int) -> dict[str, Any]:
    """blkdebug's rules: states that count the commands to let pass, then errors, one per block."""
    rules: dict[str, Any] = {}
    event = f"{fault.on}_aio" if fault.after else "none"
    for state in range(1, fault.after + 1):
        step = {"event": event, "state": state, "new_state": state + 1}
        rules |= {f"set-state.{state - 1}.{key}": value for key, value in step.items()}
    for number in range(fault.blocks):
        error: dict[str, Any] = {"event": event, "iotype": fault.on, "errno": fault.number}
        if fault.after:
            error["state"] = fault.after + 1
        if fault.lba is not None:
            error["sector"] = (fault.lba + number) * lba // _SECTOR
        if fault.once:
            error["once"] = True
        rules |= {f"inject-error.{number}.{key}": value for key, value in error.items()}
    return rules


def _throttle_group(drive: str, limit: Limit) -> str:
    """In JSON: as keys and values -object has the limits by unstable names only."""
    words = {
        "iops": "iops-total",
        "read_iops": "iops-read",
        "write_iops": "iops-write",
        "bandwidth": "bps-total",
        "read_bandwidth": "bps-read",
        "write_bandwidth": "bps-write",
    }
    given = {
        words[key]: int(value) for key, value in msgspec.structs.asdict(limit).items() if value
    }
    return json.dumps({"qom-type": "throttle-group", "id": f"{drive}-limits", "limits": given})
