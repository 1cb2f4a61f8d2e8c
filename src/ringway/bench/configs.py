"""Workloads as files: ``configs/NAME.toml``, in a checkout and inside the installed package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ..config import ConfigError as ConfigError
from ..config import convert, read_toml, shipped, unknown_key
from ..nearest import unknown
from .units import parse_duration, parse_size
from .workload import PATTERNS, Workload

_SIZES = ("bs", "offset", "span", "total")
_TIMES = ("runtime", "ramp")
_FIO_NAMES = {
    "size": "span (the range) or total (the bytes to move)",
    "io_size": "total",
    "blocksize": "bs",
    "iodepth": "depth",
    "numjobs": "threads",
    "ramp_time": "ramp",
    "randseed": "seed",
    "rwmixread": "mix",
    "rate_iops": "rate",
    "readwrite": "rw",
    "cpus_allowed": "cpu",
}


class CompareSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `ringway compare` repeats a workload over; None leaves the choice to the plan."""

    depths: tuple[int, ...] | None = None
    buffering: tuple[str, ...] | None = None
    paths: tuple[str, ...] | None = None
    repetitions: int | None = None


class WorkloadFile(msgspec.Struct, frozen=True, kw_only=True):
    """A workload, and how `ringway compare` repeats it."""

    name: str
    description: str
    workload: Workload
    compare: CompareSettings
    #: Keys of the workload that the file sets itself.
    given: frozenset[str]


def load_workload(name: str) -> WorkloadFile:
    """The workload called `name`, or the one in the file `name` when it ends in .toml.

    Raises ConfigError.
    """
    if name.endswith(".toml") or "/" in name:
        return _parse(Path(name).stem, name, read_toml(Path(name), name))
    files = shipped()
    if name not in files:
        raise ConfigError(unknown("workload", name, files))
    return _parse(name, f"{name}.toml", read_toml(files[name], str(files[name])))


def workload_names() -> list[str]:
    """Names of the workloads that come with ringway."""
    return list(shipped())


def _parse(name: str, source: str, tree: dict[str, Any]) -> WorkloadFile:
    _known(source, "", tree, ("description", "workload", "compare"))
    fields = _table(source, tree, "workload")
    return WorkloadFile(
        name=name,
        description=_text(source, tree.get("description", "")),
        workload=workload_from(fields, source),
        compare=_compare(source, _table(source, tree, "compare")),
        given=frozenset("direct" if key == "buffered" else key for key in fields),
    )


def workload_from(fields: dict[str, Any], source: str = "workload") -> Workload:
    """A Workload from plain keys and values; sizes and times may be text.

    Raises ConfigError that names the key and, for an unknown one, the nearest.
    """
    names = [*Workload.__struct_fields__, "buffered"]
    _known(source, "workload.", fields, names)
    fields = {**_direct(source, fields)}
    for key in fields:
        fields[key] = _value(source, key, fields[key])
    if fields.get("rw") not in (None, *PATTERNS):
        known = unknown("pattern", str(fields["rw"]), PATTERNS)
        raise ConfigError(f"{source}: workload.rw: {known}")
    return convert(source, "workload", fields, Workload)


def _direct(source: str, fields: dict[str, Any]) -> dict[str, Any]:
    if "buffered" not in fields:
        return fields
    if "direct" in fields:
        raise ConfigError(f"{source}: workload.buffered: says the same as direct; keep one of them")
    rest = {key: value for key, value in fields.items() if key != "buffered"}
    return {**rest, "direct": not fields["buffered"]}


def _value(source: str, key: str, value: Any) -> Any:
    reader: Callable[[Any], Any] | None = None
    if key in _SIZES and isinstance(value, str):
        reader = parse_size
    elif key in _TIMES and isinstance(value, str):
        reader = parse_duration
    if reader is None:
        return value
    try:
        return reader(value)
    except ValueError as error:
        raise ConfigError(f"{source}: workload.{key}: {error}") from error


def _compare(source: str, fields: dict[str, Any]) -> CompareSettings:
    _known(source, "compare.", fields, CompareSettings.__struct_fields__)
    settings = convert(source, "compare", fields, CompareSettings)
    for word in settings.buffering or ():
        if word not in ("direct", "cached"):
            choices = ("direct", "cached")
            raise ConfigError(f"{source}: compare.buffering: {unknown('word', word, choices)}")
    return settings


def _table(source: str, tree: dict[str, Any], key: str) -> dict[str, Any]:
    table = tree.get(key, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{source}: {key}: a table [{key}] is expected")
    return table


def _text(source: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{source}: description: text is expected")
    return value


def _known(source: str, prefix: str, fields: dict[str, Any], names: Any) -> None:
    for key in fields:
        if key not in names:
            raise ConfigError(f"{source}: {prefix}{key}: unknown key; {_advice(key, list(names))}")


def _advice(key: str, names: list[str]) -> str:
    if key in _FIO_NAMES:
        return f"here it is called {_FIO_NAMES[key]}"
    return unknown_key(key, names)
