"""What the files under configs/ have in common: finding them, reading them, naming what is wrong.

Workloads (bench/configs.py) and topologies of the emulated machine (vm/topologies.py) use it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .nearest import nearest

_T = TypeVar("_T")


class ConfigError(ValueError):
    """A configuration that cannot be used; the text names the file, the key and the remedy."""


def shipped(folder: str = "") -> dict[str, Path]:
    """The files that come with ringway in configs/`folder`, by name, sorted.

    Installed beside the package; in a checkout, the folder of that name at its top.
    """
    package = Path(__file__).resolve().parent
    places = (package / "configs" / folder, package.parents[1] / "configs" / folder)
    place = next((place for place in places if place.is_dir()), None)
    return {file.stem: file for file in sorted(place.glob("*.toml"))} if place else {}


def read_toml(file: Path, source: str) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError, which calls the file `source`."""
    try:
        tree = msgspec.toml.decode(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{source}: not TOML: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{source}: not a table")
    return tree


def unknown_key(key: str, names: Iterable[str]) -> str:
    """What to do about a key that is none of `names`."""
    close = nearest(key, names)
    return f"did you mean {close}?" if close else f"there are: {', '.join(sorted(names))}"


def convert(
    source: str,
    table: str,
    fields: dict[str, Any],
    kind: type[_T],
    reader: Callable[[type, Any], Any] | None = None,
) -> _T:
    """`fields` as a record. `reader` makes values of types that msgspec does not know.

    Raises ConfigError with the place of the value: the source, the table, the key.
    """
    try:
        return msgspec.convert(fields, kind, str_keys=True, dec_hook=reader)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_located(table, str(error))}") from error


def _located(table: str, message: str) -> str:
    """msgspec's ``Expected `int`, got `str` - at `$.depth` `` with the key in front."""
    match = re.fullmatch(r"(.*) - at `\$\.?(.*)`", message, re.DOTALL)
    if match and match[2]:
        place = f"{table}.{match[2]}" if table else match[2]
        return f"{place}: {match[1].replace('`', '')}"
    text = match[1] if match else message
    return f"{table}.{text}" if table else text
