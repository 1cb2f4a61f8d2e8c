"""The compiled core: ``ffi`` and ``lib``, and the sync calls of a device.

``lib`` holds the functions and constants of ``native/include/ringway.h``; every call releases the
GIL. ``ffi`` makes and reads the C values they take. ``Calls`` is what `ringway.Device` inherits.
"""

from __future__ import annotations

import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

try:
    from ringway._native import _lib
    from ringway._native._lib import ffi, lib
except ImportError as error:
    raise ImportError(
        f"ringway's compiled core cannot be loaded ({error}). In a clone, run `make build` and use "
        "`.venv/bin/python`; elsewhere, run `pip install .` in the source directory. The system "
        "must have liburing (Debian: liburing2)."
    ) from error


def _load_from_same_file(name: str, path: str) -> None:
    """Imports a second module of one shared library (PEP 489): both use the same core."""
    loader = ExtensionFileLoader(name, path)
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    sys.modules[name] = module_from_spec(spec)
    loader.exec_module(sys.modules[name])


_load_from_same_file("ringway._native._calls", _lib.__file__)

from ringway._native._calls import Calls, QueueHandle, set_buffer_type  # noqa: E402 - it exists only now

__all__ = ["Calls", "QueueHandle", "ffi", "lib", "set_buffer_type"]
