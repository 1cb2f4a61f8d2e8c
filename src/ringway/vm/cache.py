"""Where unpacked kernels and verdicts are kept between runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..files import lock_file, replace_file
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
    """Writes a file of the cache, whole or not at all. Raises UnavailableError."""
    try:
        replace_file(file, content)
    except OSError as error:
        raise _unwritable(file, error) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time prepares what lies in a folder of the cache."""
    try:
        lock = open(folder / ".lock", "w")  # noqa: SIM115
    except OSError as error:
        raise _unwritable(folder, error) from error
    with lock:
        if not lock_file(lock.fileno(), time.monotonic() + _PATIENCE):
            raise UnavailableError(f"another process keeps {folder}/.lock for too long")
        yield


def _unwritable(place: Path, error: OSError) -> UnavailableError:
    return UnavailableError(f"{place} cannot be written ({error.strerror}): {_ADVICE}")
