"""A command run in a machine, with this process's own streams."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from .host import Host
from .job import Job
from .machine import Machine
from .setup import Prepared
from .streams import join_input, join_output
from .wiring import Wiring


def run(
    host: Host,
    job: Job,
    deadline: float | None = None,
    log: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    escape: bytes = b"",
) -> int:
    """Runs the job's command to its end; its exit status, 128 + N where signal N ended it.

    deadline: of time.monotonic(). log: where to write the guest's console log. stop: asked several
    times a second whether the user wants an end. escape: bytes on standard input that say so too.
    Raises MachineError where the machine fails.
    """
    with Machine(host, job) as machine:
        try:
            join_output(machine)
            machine.serve(lambda: machine.started, deadline, stop)
            escaped = join_input(machine, escape=escape)
            return machine.wait(deadline, lambda: stop() or escaped.is_set())
        finally:
            if log is not None:
                log.write_text(machine.log())


def command_line(host: Host, job: Job) -> list[str]:
    """What `run` would start; file descriptors in it are those of this process."""
    wiring = Wiring(job.all_ports)
    try:
        with tempfile.TemporaryFile() as console:
            prepared = Prepared(host, job, wiring, console.fileno())
            prepared.close()
            return prepared.arguments
    finally:
        wiring.close_theirs()
        wiring.close_ours()
