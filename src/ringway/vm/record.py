"""What the records of a topology are made of: strict structs, sizes and times written as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ..bench.units import parse_duration, parse_size
from ..config import ConfigError

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40


class Size(int):
    """Bytes; in a file also as text: ``4k``, ``1GiB``."""


class Seconds(float):
    """A time; in a file a number of seconds, or text: ``50us``, ``2ms``."""

    @property
    def nanoseconds(self) -> int:
        return round(self * 1e9)


def read_value(kind: type, value: Any) -> Any:
    """A value of the types above from what TOML has (msgspec's ``dec_hook``)."""
    if kind is Size and isinstance(value, int | str):
        return Size(parse_size(value))
    if kind is Seconds and isinstance(value, int | float | str):
        return Seconds(parse_duration(value))
    raise TypeError(f"text or a number is expected, not {type(value).__name__}")


def power_of_two(number: int) -> bool:
    """Whether it is one: 1, 2, 4, …"""
    return number > 0 and not number & (number - 1)


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A struct that raises ConfigError with the first sentence that its rules yield."""

    def __post_init__(self) -> None:
        for message in self.wrong():
            raise ConfigError(message)

    def wrong(self) -> Iterable[str]:
        """A sentence for every contradiction in the record."""
        return ()
