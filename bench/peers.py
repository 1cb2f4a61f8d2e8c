"""The programs that are run beside Ringway, and our own native loop, as runs to be paired."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pairs import Refused, Run, Sample
from session import Session, output_of

#: No map of blocks done, no statistics of the disk, no dropping of the cache beforehand.
_PLAIN = {
    "norandommap": 1,
    "randrepeat": 0,
    "disk_util": 0,
    "thread": 1,
    "invalidate": 0,
    "fadvise_hint": 0,
    "allow_file_create": 0,
}
#: No clock reading per I/O, so no latencies.
LEAN = {"gtod_reduce": 1}
#: fio's words for io_uring+fixed+defer; it defers by itself since 3.32.
FIXED_DEFER = {"ioengine": "io_uring", "fixedbufs": 1, "registerfiles": 1, "nonvectored": 1}


def fio(session: Session, target: str, **options: object) -> Run:
    """A run of the installed fio on the target, its worker pinned to the session's CPU."""
    program = shutil.which("fio")
    if program is None:
        raise Refused("fio is not installed; on Debian: apt-get install fio")
    settings = {"filename": target, "cpus_allowed": session.pinned_cpu, **_PLAIN, **options}
    words = [f"--{name}={value}" for name, value in settings.items()]
    command = [program, "--name=peer", "--readonly", "--eta=never", "--output-format=json", *words]

    def run(seconds: float) -> Sample:
        with session.unpinned():
            text = output_of([*command, "--time_based=1", f"--runtime={round(seconds * 1000)}ms"])
        return _fio_sample(text)

    return run


def _fio_sample(text: str) -> Sample:
    # Messages may stand before the document.
    job = json.loads(text[text.index("{") :])["jobs"][0]
    seconds = job["read"]["runtime"] / 1e3
    share = (job["usr_cpu"] + job["sys_cpu"]) / 100
    return Sample(job["read"]["total_ios"], seconds, seconds * share)


def t_io_uring(session: Session, program: Path, target: str, depth: int) -> Run:
    """fio's leanest loop: fixed buffers and file, not polled, a whole depth at a time."""
    words = f"-d{depth} -s{depth} -c{depth} -p0 -B1 -F1 -O0"

    def run(seconds: float) -> Sample:
        # It reports whole seconds, the first of them with its start.
        text = output_of([str(program), *words.split(), f"-r{max(3, round(seconds) + 1)}", target])
        rates = [_scaled(*found) for found in re.findall(r"^IOPS=([\d.]+)([KM]?)", text, re.M)]
        if not rates:
            raise Refused(f"{program} printed no rate: {text.strip()}")
        rate = sum(rates) / len(rates)
        return Sample(rate, 1.0, 0.0)

    return run


def _scaled(number: str, unit: str) -> float:
    return float(number) * {"": 1, "K": 1e3, "M": 1e6}[unit]


@dataclass(frozen=True)
class Loop:
    """The native loop, bench/native/loop.c: batches of random reads from C."""

    program: Path
    target: str
    path: str
    batch: int = 256
    depth: int = 256
    bs: int = 4096
    direct: bool = False

    def command(self, milliseconds: int, batches: int = 0) -> list[str]:
        numbers = (int(self.direct), self.batch, self.depth, self.bs, milliseconds, batches)
        return [str(self.program), self.target, self.path, *map(str, numbers)]

    def __call__(self, seconds: float) -> Sample:
        operations, ns, cpu_ns = output_of(self.command(round(seconds * 1000))).split()
        return Sample(int(operations), int(ns) / 1e9, int(cpu_ns) / 1e9)
