"""Sizes, times and counts: read as fio reads them, written as people read them."""

from __future__ import annotations

import re

_SIZE_EXPONENT = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)i?b?\s*", re.IGNORECASE)
_SECONDS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def parse_size(text: str | int) -> int:
    """Bytes from ``4096``, ``4k``, ``4KiB`` or ``1MiB``; k is 1024, as in fio.

    Raises ValueError with what would have been accepted.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return _positive(text, str(text))
    match = _SIZE.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a size; write bytes, or 4k, 64KiB, 1MiB, 2g")
    size = float(match[1]) * 1024 ** _SIZE_EXPONENT[match[2].lower()]
    if size != int(size):
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return int(size)


def _positive(value: int, text: str) -> int:
    if value < 0:
        raise ValueError(f"{text} is negative; a size is not")
    return value


def parse_duration(text: str | float) -> float:
    """Seconds from ``3``, ``0.5``, ``500ms``, ``2m``; a bare number is seconds, as in fio."""
    match = _DURATION.fullmatch(str(text))
    if match is None or match[2].lower() not in _SECONDS:
        raise ValueError(f"{text!r} is not a time; write seconds, or 500ms, 3s, 2m")
    return float(match[1]) * _SECONDS[match[2].lower()]


def format_size(size: int) -> str:
    """``4096`` as ``4 KiB``; the largest unit that keeps the figure exact to one digit."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if value == int(value) else f"{value:.1f} {unit}"


def format_bs(size: int) -> str:
    """A block size in fio's short form: ``4k``, ``1m``, ``512``."""
    for unit, exponent in (("m", 2), ("k", 1)):
        if size and size % 1024**exponent == 0:
            return f"{size // 1024**exponent}{unit}"
    return str(size)


def format_count(value: float) -> str:
    """A rate or a count with three digits: ``820k``, ``13.4k``, ``1.21M``."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor * 0.9995:
            return _three_digits(value / factor) + unit
    return f"{value:.0f}" if value >= 10 else f"{value:.3g}"


def format_ns(value: float) -> str:
    """Nanoseconds as ``812 ns``, ``4.21 µs``, ``3.36 ms``, ``1.2 s``."""
    for factor, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if value >= factor * 0.9995:
            return f"{_three_digits(value / factor)} {unit}"
    return f"{value:.0f} ns"


def format_bandwidth(value: float) -> str:
    """Bytes per second as ``312 MB/s``: decimal, as drives are sold."""
    for factor, unit in ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s")):
        if value >= factor * 0.9995:
            return f"{_three_digits(value / factor)} {unit}"
    return f"{value:.0f} B/s"


def format_seconds(value: float) -> str:
    """A span of time for people: ``45 s``, ``3 min 10 s``."""
    if value < 10:
        return f"{value:.3g} s"
    minutes, seconds = divmod(round(value), 60)
    if not minutes:
        return f"{seconds} s"
    return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"


def format_ratio(value: float) -> str:
    """A ratio with as many digits as it deserves: ``1.03×``, ``11.2×``."""
    return f"{value:.1f}×" if value >= 9.995 else f"{value:.2f}×"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
