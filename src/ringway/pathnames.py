"""Names of paths with options, as in ``io_uring+fixed+defer``, and the bits the core knows."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EINVAL

from ringway._native import ffi, lib
from ringway.bench.paths import UnknownPath, native_catalog
from ringway.errors import ArgumentError


def _options_of(name: str) -> Iterator[tuple[str, int]]:
    """Name and bit of each option of a path."""
    index = 0
    while ffi.string(lib.rw_path_at(index).name).decode() != name:
        index += 1
    place = 0
    while option := lib.rw_path_option_at(index, place):
        yield ffi.string(option.name).decode(), option.bit
        place += 1


def options_in(name: str, bits: int) -> tuple[str, ...]:
    """Names of the options that are set."""
    return tuple(option for option, bit in _options_of(name) if bits & bit)


def path_words(text: str | None) -> tuple[str | None, int]:
    """Path name and option bits. Raises `ArgumentError`, suggesting the nearest name."""
    if text is None:
        return None, 0
    try:
        spec = native_catalog().parse(text)
    except UnknownPath as error:
        raise ArgumentError(EINVAL, str(error)) from None
    return spec.name, sum(bit for option, bit in _options_of(spec.name) if option in spec.options)
