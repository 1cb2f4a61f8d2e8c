"""What it takes to make things go wrong: file systems to break, a disk to stick, lesser users."""

from __future__ import annotations

import fcntl
import gc
import mmap
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import ringway
from ringway._native import ffi, lib

#: How long a disk may stick before it is set free whatever becomes of its test, in seconds.
LONGEST = 20

FileSystem = Callable[..., AbstractContextManager[Path]]


@pytest.fixture(scope="session")
def file_system(disk: Path, tool: Callable[..., str]) -> FileSystem:
    """Mounts a new small ext4 file system, for root."""

    @contextmanager
    def mounted(name: str, megabytes: int = 16, options: str = "loop") -> Iterator[Path]:
        if os.geteuid():
            pytest.skip("only root may mount a file system")
        image, folder = disk / f"{name}.ext4", disk / name
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        tool("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", str(image))
        folder.mkdir(exist_ok=True)
        tool("mount", "-o", options, str(image), str(folder))
        os.chmod(folder, 0o777)
        try:
            yield folder
        finally:
            _unmount(folder)

    return mounted


def _unmount(folder: Path) -> None:
    """What was in flight a moment ago may hold it a moment longer."""
    for _ in range(50):
        if subprocess.run(["umount", str(folder)], capture_output=True).returncode == 0:
            return
        time.sleep(0.05)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


# ------------------------------------------------------------ a stuck disk


class StuckDisk:
    """A disk that stops answering when told to: a loop device on a frozen file system.

    Its reads and writes are accepted, stay in flight, and complete when it is released.
    """

    def __init__(self, target: str, folder: Path) -> None:
        self.target = target
        self._folder = folder
        self._keeper: subprocess.Popen[bytes] | None = None
        self._first: threading.Thread | None = None

    def stick(self) -> None:
        """From now on nothing completes."""
        # Should the tests die, this process sets it free: at the end of its input, or in time.
        subprocess.run(["fsfreeze", "--freeze", self._folder], check=True)
        self._keeper = subprocess.Popen(
            ["sh", "-c", f'timeout {LONGEST} cat; fsfreeze --unfreeze "$0"', self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        self._first = threading.Thread(target=self._write, daemon=True)
        self._first.start()
        self._await_first()

    def _write(self) -> None:
        """The first write blocks the loop device's worker; all others queue up behind it."""
        with mmap.mmap(-1, 4096) as page:
            fd = os.open(self.target, os.O_RDWR | os.O_DIRECT)
            os.pwrite(fd, page, os.lseek(fd, 0, os.SEEK_END) - 4096)
            os.close(fd)

    def _await_first(self) -> None:
        inflight = Path("/sys/block", Path(self.target).name, "inflight")
        for _ in range(1000):
            if inflight.read_text().split()[1] != "0":
                return
            time.sleep(0.002)
        self.release()
        pytest.skip("a loop device on a frozen file system does not stick here")

    def release(self) -> None:
        """All that stuck completes soon."""
        if self._keeper is not None:
            self._keeper.communicate()
            self._keeper = None
            self._first.join()

    def release_after(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self.release)
        timer.start()
        return timer


@pytest.fixture(scope="session")
def _stuck_disk(
    file_system: FileSystem, loop_device: Callable[..., AbstractContextManager[str]]
) -> Iterator[StuckDisk]:
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(file_system("stuck", 32))
        (folder / "image").write_bytes(bytes(8 << 20))
        device = cleanup.enter_context(loop_device(str(folder / "image"), "--direct-io=on"))
        yield StuckDisk(device, folder)


@pytest.fixture
def stuck_disk(_stuck_disk: StuckDisk) -> Iterator[StuckDisk]:
    """Not stuck yet; released when the test ends."""
    yield _stuck_disk
    _stuck_disk.release()


@pytest.fixture
def slow(spec: str, stuck_disk: StuckDisk) -> Iterator[ringway.Device]:
    """A read-only device on the stuck disk, for each spec that leaves operations in flight."""
    with ringway.open(stuck_disk.target, spec) as dev:
        if dev.synchronous:
            pytest.skip(f"{dev.path} works in the calling thread: nothing is ever in flight")
        dev.readinto(0, dev.alloc(4096))  # what is made at first use, is made
        yield dev
        stuck_disk.release()


@pytest.fixture
def stuck(slow: ringway.Device, stuck_disk: StuckDisk) -> ringway.Device:
    """The same, and the disk sticks."""
    stuck_disk.stick()
    return slow


# ------------------------------------------- children, counting, lateness


@pytest.fixture(scope="session")
def sanitized() -> bool:
    """Whether these tests run under the address sanitizer, which slows them down."""
    return "libasan" in os.environ.get("LD_PRELOAD", "")


Child = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def child() -> Child:
    """Runs Python code in a process of its own; its output is text, its arguments sys.argv[1:]."""

    def run(code: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
        options = {"capture_output": True, "text": True, "timeout": 60, **options}
        return subprocess.run(words, **options)

    return run


@pytest.fixture(scope="session")
def buffers() -> Callable[[], int]:
    """How many buffers are alive in the core when what is garbage is collected."""
    gc.collect()
    gc.freeze()  # what pytest knows of thousands of tests need not be looked through each time

    def count() -> int:
        gc.collect()
        stats = ffi.new("struct rw_memory_stats *")
        lib.rw_memory_stats(stats)
        return int(stats.buffers)

    return count


@pytest.fixture(scope="session")
def patience(sanitized: bool) -> Callable[[], float]:
    """By how much this machine may be late: more than once when others keep it busy."""

    def factor() -> float:
        busy = os.getloadavg()[0] / (os.cpu_count() or 1)
        return max(1.0, 2 * busy) * (4 if sanitized else 1)

    return factor


# ----------------------------------------------------------- other troubles


@pytest.fixture
def shut_down() -> Callable[[Path], None]:
    """Ends a file system as if its disk had been pulled out."""

    def shut(folder: Path) -> None:
        fd = os.open(folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, 0x8004587D, (2).to_bytes(4, "little"))  # EXT4_IOC_SHUTDOWN, no flush
        finally:
            os.close(fd)

    return shut
