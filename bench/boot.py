"""From the call of `ringway vm` to the first instruction of the command in the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from cli import alone
from pairs import Figure, Goal, Refused
from session import Session

from ringway.vm.errors import UnavailableError
from ringway.vm.host import Host, find_host

NAME = "boot"
#: Many times what it takes, in seconds.
_LONGEST = 120.0
_GOALS = {True: 10.0, False: 3.0}


def measure(session: Session) -> list[Figure]:
    """≤ 10 s where the machine is emulated, ≤ 3 s under KVM; one run per pair, none beside it."""
    try:
        # Downloads the kernel and tries KVM where that was not done yet.
        host = find_host()
    except UnavailableError as error:
        raise Refused(str(error)) from error
    values = []
    # QEMU needs both a CPU to emulate on and one for itself.
    with session.unpinned():
        for turn in range(session.pairs):
            session.tell(f"{NAME}: {turn + 1} of {session.pairs}")
            values.append(_seconds())
    return [
        Figure(
            command=NAME,
            ours=f"`ringway vm -- echo`, {_kind(host)}",
            peer="",
            unit="s",
            values=values,
            goal=Goal("≤", _GOALS[host.acceleration.emulated]),
        )
    ]


def _kind(host: Host) -> str:
    return "emulated" if host.acceleration.emulated else "KVM"


def _seconds() -> float:
    """Until the command has said something."""
    command = [sys.executable, "-m", "ringway", "vm", "--timeout", f"{_LONGEST:.0f}s"]
    begin = time.perf_counter()
    with subprocess.Popen(
        [*command, "--", "echo", "here"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        seconds = time.perf_counter() - begin
    if said != b"here\n":
        raise Refused(f"the machine failed; run {' '.join(command[2:])} -- echo here")
    return seconds


if __name__ == "__main__":
    alone(measure)
