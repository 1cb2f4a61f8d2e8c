"""What a machine is for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import IN_MACHINE
from .commandline import MOST_SHARES
from .errors import JobError
from .topology import Topology

#: Ports that every machine has: what the guest tells, its requests to the monitor, the streams.
STANDARD_PORTS = ("status", "qmp", "stdin", "stdout", "stderr")
#: Those of them whose end is marked.
OUTPUTS = ("stdout", "stderr")


#: Folders that a guest has of its own.
_ITS_OWN = tuple(map(Path, ("/proc", "/sys", "/dev", "/run")))
#: One share is the host's root.
_MOST_RESULTS = MOST_SHARES - 1


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


def environment_in(topology: str) -> dict[str, str]:
    """This process's environment, and that it is a machine; `topology` is a name or a file."""
    place = str(Path(topology).resolve()) if topology.endswith(".toml") else topology
    return {**os.environ, IN_MACHINE: place}


def check(job: Job) -> None:
    """Raises JobError for what no machine can do."""
    for place in (job.directory, *job.results):
        if any(place.is_relative_to(own) for own in _ITS_OWN):
            raise JobError(f"{place}: /proc, /sys, /dev and /run are the guest's own; use another")
    for folder in job.results:
        text = str(folder)
        if folder == Path("/") or text != text.strip() or "\n" in text:
            raise JobError(
                f"{text!r} cannot be a folder for results: name one inside, without "
                "blanks at the ends of its name or line breaks in it"
            )
    if len(job.results) > _MOST_RESULTS:
        raise JobError(f"{len(job.results)} folders for results; up to {_MOST_RESULTS} can be had")
