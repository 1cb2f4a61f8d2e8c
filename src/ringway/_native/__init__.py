"""The compiled core: ``ffi`` and ``lib``, and nothing else.

``lib`` holds the functions and constants of ``native/include/ringway.h``; every call releases the
GIL. ``ffi`` makes and reads the C values they take.
"""

from __future__ import annotations

try:
    from ringway._native._lib import ffi, lib
except ImportError as error:
    raise ImportError(
        f"ringway's compiled core cannot be loaded ({error}). In a clone, run `make build` and use "
        "`.venv/bin/python`; elsewhere, run `pip install .` in the source directory. The system "
        "must have liburing (Debian: liburing2)."
    ) from error

__all__ = ["ffi", "lib"]
