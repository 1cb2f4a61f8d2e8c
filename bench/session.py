"""The machine of a comparison: its pinned CPU, its scratch file, the programs to run on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from pairs import Refused, Run, Sample, rounds

ROOT = Path(__file__).resolve().parent.parent
#: Slices of a run whose two sides both start at once.
FINE = 4
_CHUNK = 4 << 20


@dataclass
class Session:
    """Everything a comparison needs; a context manager that removes what was made."""

    pairs: int = 5
    #: Length of one run.
    seconds: float = 1.0
    #: The CPU all runs are pinned to; None: the last one there is.
    cpu: int | None = None
    #: Bytes of the scratch file.
    size: int = 256 << 20
    #: Build directory of the native programs.
    build: Path = ROOT / "build"
    #: fio's `t/io_uring`, to compare with it too.
    t_io_uring: Path | None = None
    tell: Callable[[str], None] = lambda _: None
    _random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    _things: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Session:
        self._all_cpus = os.sched_getaffinity(0)
        self._cpu = max(self._all_cpus) if self.cpu is None else self.cpu
        os.sched_setaffinity(0, {self._cpu})
        self._things.callback(os.sched_setaffinity, 0, self._all_cpus)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._things.close()

    @property
    def pinned_cpu(self) -> int:
        return self._cpu

    def rounds(
        self, command: str, runs: Mapping[str, Run], slices: int = 1
    ) -> dict[str, list[Sample]]:
        """`pairs` rounds of `seconds` each; a short one before warms up what is made lazily.

        Runs that start quickly are cut into `slices`: more and shorter pairs, for the median to
        throw out what disturbed some of them.
        """
        self.tell(f"{command}: warming up")
        for run in runs.values():
            run(self.seconds / 10)
        tell = self.tell
        return rounds(
            runs,
            self.pairs * slices,
            self.seconds / slices,
            lambda text: tell(f"{command}: {text}"),
        )

    # ---------------------------------------------------------- the scratch file

    @cached_property
    def file(self) -> str:
        """The scratch file, made when it is first asked for."""
        self.tell("writing the scratch file")
        return self._things.enter_context(_scratch_file(self.size))

    def cached_file(self) -> str:
        """The scratch file, all of it in the page cache."""
        with open(self.file, "rb", buffering=0) as file:
            chunk = bytearray(_CHUNK)
            while file.readinto(chunk):
                pass
        return self.file

    def draw(self, bs: int, count: int) -> NDArray[np.int64]:
        """Uniform random offsets of blocks in the scratch file."""
        return self._random.integers(0, self.size // bs, count) * bs

    # ------------------------------------------------------------------ programs

    @contextmanager
    def unpinned(self) -> Iterator[None]:
        """For peers that pin themselves: their helper threads shall not share the CPU."""
        os.sched_setaffinity(0, self._all_cpus)
        try:
            yield
        finally:
            os.sched_setaffinity(0, {self._cpu})

    def program(self, name: str) -> Path:
        """A native program of this directory, built."""
        self.tell(f"building {name}")
        if not (self.build / "build.ninja").exists():
            raise Refused(f"{self.build} is no build directory; run `make build` first")
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        if not shutil.which("ninja", path=path):
            raise Refused("ninja, which builds the native programs, is not installed")
        command = ["ninja", "-C", str(self.build), name]
        done = subprocess.run(
            command, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        if done.returncode:
            raise Refused(f"{name} cannot be built:\n{done.stdout}{done.stderr}")
        return self.build / name


@contextmanager
def _scratch_file(size: int) -> Iterator[str]:
    """Real data in the current directory; without a name, so that nothing can stay behind."""
    if shutil.disk_usage(".").free < 2 * size:
        raise Refused(f"the disk of {os.getcwd()} has no room for {size >> 20} MiB")
    noise = np.random.default_rng(size).bytes(_CHUNK)
    with tempfile.TemporaryFile(dir=".", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, size)
        for place in range(0, size, _CHUNK):
            file.write(noise[: size - place])
        os.fsync(file.fileno())
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


def output_of(command: list[str]) -> str:
    """What a program prints. Raises Refused with its complaint when it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Refused(f"{command[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
