"""What a machine is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .topology import Topology

#: Ports that every machine has: what the guest tells, its requests to the monitor, the streams.
STANDARD_PORTS = ("status", "qmp", "stdin", "stdout", "stderr")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command, and the machine to run it in."""

    command: Sequence[str]
    topology: Topology
    directory: Path
    environment: Mapping[str, str]
    #: Folders of the host whose changes are kept; all else the guest writes goes with it.
    results: Sequence[Path] = ()
    #: Ports beside the standard ones: ``/dev/virtio-ports/ringway.NAME`` in the guest.
    ports: Sequence[str] = ()

    @property
    def all_ports(self) -> list[str]:
        return [*STANDARD_PORTS, *self.ports]
