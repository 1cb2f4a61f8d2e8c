"""Files that other processes may look at or wait for: replaced whole, locked with a deadline."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_PAUSE = 0.02


def replace_file(file: Path, content: bytes) -> None:
    """Puts a file in place whole and on stable storage, or not at all; rename(2), fsync(2)."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
    with open(fresh, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(fresh, file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder as lasting as its files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_file(descriptor: int, end: float) -> bool:
    """Locks an open file for this process alone; flock(2). False: others kept it until `end`.

    end: of time.monotonic().
    """
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(_PAUSE)
