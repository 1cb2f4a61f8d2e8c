"""Where unpacked kernels and verdicts are kept between runs."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UnavailableError

#: How long one process may keep another from preparing the same thing, in seconds.
_PATIENCE = 600


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/ringway``, made when it is not there; XDG Base Directory Specification."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base, "ringway")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"{folder} cannot be made ({error.strerror}): set XDG_CACHE_HOME to a folder that can "
            "be written to"
        ) from error
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time prepares what lies in a folder of the cache."""
    with open(folder / ".lock", "w") as lock:
        deadline = time.monotonic() + _PATIENCE
        while not _try_lock(lock.fileno()):
            if time.monotonic() > deadline:
                raise UnavailableError(f"another process keeps {folder}/.lock for too long")
            time.sleep(0.1)
        yield


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
