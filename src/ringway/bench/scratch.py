"""A file of ringway's own to measure on, which leaves nothing behind, and a warm page cache."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .executor import RunError
from .units import format_size

WANTED = 1 << 30
_LEAST = 64 << 20
#: Of the free space, at most this share is used.
_SHARE = 4
_CHUNK = 4 << 20
#: More than this share of the memory is not read into the page cache.
_CACHE_SHARE = 2

#: Told how much of the work is done, 0 to 1; answers whether to go on.
Tell = Callable[[float], bool]


@dataclass(frozen=True)
class Scratch:
    """A file without a name: `target` opens it while this process lives."""

    target: str
    size: int
    folder: str

    @property
    def name(self) -> str:
        """What to call it in a report."""
        return f"A file of {format_size(self.size)} made for the comparison"


def scratch_size(folder: str) -> int:
    """Bytes a scratch file in `folder` may have. Raises RunError when there is no room."""
    free = shutil.disk_usage(folder).free
    size = min(WANTED, free // _SHARE // _CHUNK * _CHUNK)
    if size < _LEAST:
        raise RunError(
            f"{format_size(free)} free in {folder} is too little for a file to measure on: "
            f"{format_size(_LEAST * _SHARE)} are needed; give a TARGET, or go to another folder"
        )
    return size


@contextmanager
def scratch_file(folder: str, tell: Tell) -> Iterator[Scratch]:
    """A file full of written data in `folder`.

    Its name is removed before the first byte is written, so that its space is free again however
    this process ends. Raises RunError or OSError.
    """
    size = scratch_size(folder)
    name = Path(folder, f".ringway-{os.getpid()}.tmp")
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.unlink(name)
        _fill(descriptor, size, tell)
        yield Scratch(f"/proc/{os.getpid()}/fd/{descriptor}", size, folder)
    finally:
        os.close(descriptor)


def _fill(descriptor: int, size: int, tell: Tell) -> None:
    """Real data in real extents: reads of holes and of unwritten extents touch no device."""
    os.posix_fallocate(descriptor, 0, size)
    noise = bytearray(random.Random(size).randbytes(_CHUNK))
    for offset in range(0, size, _CHUNK):
        noise[:8] = offset.to_bytes(8, "little")
        _write(descriptor, noise, offset)
        if not tell(offset / size):
            raise KeyboardInterrupt
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    tell(1.0)


def _write(descriptor: int, data: bytearray, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def warm_cache(target: str, offset: int, span: int, tell: Tell) -> bool:
    """Reads the range into the page cache; False when it does not fit, or is no file."""
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        end = offset + span if span else os.lseek(descriptor, 0, os.SEEK_END)
        if end - offset > _memory() // _CACHE_SHARE:
            return False
        for place in range(offset, end, _CHUNK):
            os.pread(descriptor, min(_CHUNK, end - place), place)
            if not tell((place - offset) / (end - offset)):
                break
        return True
    finally:
        os.close(descriptor)


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
