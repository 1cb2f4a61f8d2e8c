"""A command run in a machine, with this process's own streams."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

from .host import Host
from .job import Job
from .machine import Machine
from .setup import Prepared
from .stream_end import new_mark
from .streams import Input, Output
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
    with _opened(log) as kept, Machine(host, job) as machine:
        outputs = [Output(machine, "stdout", 1), Output(machine, "stderr", 2)]
        try:
            machine.serve(lambda: machine.started, deadline, stop)
            with Input(machine, escape=escape) as given:
                ended = machine.wait(deadline, lambda: stop() or given.escaped.is_set())
            machine.serve(lambda: all(output.is_drained() for output in outputs), deadline, stop)
            return ended
        finally:
            for output in outputs:
                output.close()
            if kept is not None:
                kept.write(machine.log())


def _opened(log: Path | None) -> AbstractContextManager[TextIO | None]:
    """Before a machine is started that could not be told of."""
    return nullcontext() if log is None else open(log, "w")


def command_line(host: Host, job: Job) -> list[str]:
    """What `run` would start; file descriptors in it are those of this process."""
    wiring = Wiring(job.all_ports)
    try:
        with (
            tempfile.TemporaryFile() as console,
            Prepared(host, job, wiring, console.fileno(), new_mark()) as prepared,
        ):
            return prepared.arguments
    finally:
        wiring.close_theirs()
        wiring.close_ours()
