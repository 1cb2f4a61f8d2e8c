"""What the marker ``emulated_nvme`` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from ..config import ConfigError
from .pytest_plugin import MARK
from .topologies import load_topology
from .topology import Topology


def refuse_wrong(report: pytest.CollectReport, items: Sequence[pytest.Item]) -> None:
    """Fails the collection of items whose marker cannot be followed."""
    wrong = dict.fromkeys(filter(None, map(_complaint, items)))
    if wrong:
        report.outcome = "failed"
        report.longrepr = "\n".join(wrong)
        report.result = []


def _complaint(item: pytest.Item) -> str | None:
    try:
        topology(wanted(item))
    except ConfigError as error:
        return f"{item.nodeid}: @pytest.mark.{MARK}: {error}"
    return None


@cache
def topology(name: str) -> Topology:
    """The topology that `wanted` named. Raises ConfigError."""
    return load_topology(name)


def wanted(item: pytest.Item) -> str:
    """The topology of a marked test: a name, or the whole path of a file. Raises ConfigError."""
    mark = item.get_closest_marker(MARK)
    assert mark is not None
    name = _argument(mark) or str(item.config.getini("emulated_nvme_topology"))
    if not name.endswith(".toml"):
        return name
    places = [folder / name for folder in (item.path.parent, item.config.rootpath)]
    return str(next(filter(Path.exists, places), places[0]))


def _argument(mark: pytest.Mark) -> str:
    given = [*mark.args, *mark.kwargs.values()]
    if len(given) > 1 or set(mark.kwargs) - {"topology"}:
        raise ConfigError(f'it takes one argument, as in {MARK}(topology="basic")')
    name = given[0] if given else ""
    if not isinstance(name, str):
        raise ConfigError(f"topology is a name or a file, not {name!r}")
    return name
