"""Topologies as files: ``configs/vm/NAME.toml``, in a checkout and inside the installed package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from ..config import ConfigError, convert, read_toml, shipped, unknown_key
from ..nearest import unknown
from .record import Record, read_value
from .topology import Topology


def load_topology(name: str) -> Topology:
    """The topology called `name`, or the one in the file `name` when it ends in .toml.

    Files that it names are taken from the folder it is in. Raises ConfigError.
    """
    if name.endswith(".toml") or "/" in name:
        file = Path(name)
        return topology_from(read_toml(file, name), file.stem, name, file.parent)
    files = shipped("vm")
    if name not in files:
        raise ConfigError(unknown("topology", name, files))
    return topology_from(read_toml(files[name], str(files[name])), name, f"{name}.toml")


def topology_names() -> list[str]:
    """Names of the topologies that come with ringway."""
    return list(shipped("vm"))


def topology_from(
    tree: dict[str, Any],
    name: str = "topology",
    source: str = "topology",
    folder: Path | None = None,
) -> Topology:
    """A topology from plain keys and values; sizes and times may be text.

    Raises ConfigError that names the place and, for an unknown key, the nearest.
    """
    for place, advice in _unknown_keys(tree, Topology, ""):
        raise ConfigError(f"{source}: {place}: unknown key; {advice}")
    topology = convert(source, "", {"name": name, **tree}, Topology, read_value)
    return topology if folder is None else _resolved(topology, folder.absolute())


def _unknown_keys(tree: Any, kind: type[Record], place: str) -> Iterator[tuple[str, str]]:
    """Keys that no record has, with advice. What is no table is left to the conversion."""
    if not isinstance(tree, dict):
        return
    records = _records(kind)
    for key, value in tree.items():
        where = f"{place}.{key}" if place else key
        if key not in records:
            yield where, unknown_key(key, records)
        elif (inner := records[key]) and isinstance(value, list):
            for number, item in enumerate(value):
                yield from _unknown_keys(item, inner, f"{where}[{number}]")
        elif inner:
            yield from _unknown_keys(value, inner, where)


def _records(kind: type[Record]) -> dict[str, type[Record] | None]:
    """The keys of a record, each with the record that its table or tables become, or None."""
    hints = get_type_hints(kind)
    return {
        field.encode_name: next(
            (
                part
                for part in (hints[field.name], *get_args(hints[field.name]))
                if isinstance(part, type) and issubclass(part, Record)
            ),
            None,
        )
        for field in msgspec.structs.fields(kind)
    }


def _resolved(topology: Topology, folder: Path) -> Topology:
    """The same with absolute names of the files that namespaces are in."""
    replace = msgspec.structs.replace
    controllers = tuple(
        replace(
            controller,
            namespaces=tuple(
                replace(space, file=str(folder / space.file)) if space.file else space
                for space in controller.namespaces
            ),
        )
        for controller in topology.controllers
    )
    return replace(topology, controllers=controllers)
