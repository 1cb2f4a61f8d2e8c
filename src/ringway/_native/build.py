"""Writes the C source of the extension: meson runs it as ``build.py CDEF OUTPUT``."""

from __future__ import annotations

import sys
from pathlib import Path

import cffi


def main(cdef: str, output: str) -> None:
    ffi = cffi.FFI()
    ffi.cdef(Path(cdef).read_text())
    ffi.set_source("ringway._native._lib", '#include "ringway.h"')
    ffi.emit_c_code(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
