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


_ADVICE = "set XDG_CACHE_HOME to a folder that can be written to"


def cache_folder(name: str = "") -> Path:
    """``$XDG_CACHE_HOME/ringway/name``, made when it is not there.

    Source: XDG Base Directory Specification. Raises UnavailableError.
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base, "ringway", name)
        folder.mkdir(parents=True, exist_ok=True)
    except RuntimeError as error:
        raise UnavailableError(f"there is no home directory for a cache: {_ADVICE}") from error
    except OSError as error:
        raise UnavailableError(f"{folder} cannot be made ({error.strerror}): {_ADVICE}") from error
    return folder


def keep(file: Path, content: bytes) -> None:
    """Writes a file of the cache, whole or not at all."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        with open(fresh, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.rename(file)
    except OSError as error:
        raise UnavailableError(f"{file} cannot be written ({error.strerror}): {_ADVICE}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time prepares what lies in a folder of the cache."""
    try:
        lock = open(folder / ".lock", "w")  # noqa: SIM115
    except OSError as error:
        raise UnavailableError(
            f"{folder} cannot be written ({error.strerror}): {_ADVICE}"
        ) from error
    with lock:
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
