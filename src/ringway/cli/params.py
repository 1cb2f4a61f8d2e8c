"""Types of options: sizes, times, paths and lists, with completion and suggestions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ringway.bench.configs import WorkloadFile, load_workload, workload_names
from ringway.bench.executor import APIS
from ringway.bench.units import parse_duration, parse_size
from ringway.bench.workload import PATTERNS
from ringway.nearest import unknown
from ringway.paths import Catalog, UnknownPath, native_catalog

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    # Generic for the type checker, and in the newer releases of click only.
    ParamType = click.ParamType


class _Parsed(ParamType):
    """A value that a function reads from text, raising ValueError with what it expects."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Word(ParamType):
    """One of a few words; for another it suggests the nearest."""

    def __init__(self, name: str, words: Callable[[], Sequence[str]]) -> None:
        self.name = name
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in self._words():
            self.fail(unknown(self.name, str(value), self._words()), param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(word) for word in self._words() if word.startswith(incomplete)]


class _List(ParamType):
    """Several values with commas between them."""

    def __init__(self, kind: ParamType) -> None:
        self.name = f"{kind.name},…"
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        words = [word.strip() for word in value.split(",") if word.strip()]
        if not words:
            self.fail("at least one value is needed", param, ctx)
        return list(dict.fromkeys(self._kind.convert(word, param, ctx) for word in words))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        done, comma, rest = incomplete.rpartition(",")
        return [
            CompletionItem(f"{done}{comma}{item.value}")
            for item in self._kind.shell_complete(ctx, param, rest)
        ]


class _Path(ParamType):
    """A path with its options, checked against the registry."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return str(_catalog(ctx).parse(str(value)))
        except UnknownPath as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        words = [
            f"{info.name}{option}"
            for info in _catalog(ctx).paths
            for option in ("", *(f"+{name}" for name in info.options))
        ]
        head = incomplete.rpartition("+")[0]
        if "+" in head:
            name = head.split("+")[0]
            words = [
                f"{head}+{option}"
                for info in _catalog(ctx).paths
                if info.name == name
                for option in info.options
                if option not in head.split("+")
            ]
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _catalog(ctx: click.Context | None) -> Catalog:
    from .toolbox import Toolbox

    toolbox = ctx.find_object(Toolbox) if ctx else None
    return toolbox.catalog() if toolbox else native_catalog()


class _Workload(ParamType):
    """A workload by name, or its file."""

    name = "workload"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> WorkloadFile:
        if isinstance(value, WorkloadFile):
            return value
        try:
            return load_workload(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in workload_names() if name.startswith(incomplete)]


SIZE = _Parsed("size", parse_size)
TIME = _Parsed("time", parse_duration)
PATTERN = _Word("pattern", lambda: PATTERNS)
API = _Word("api", lambda: APIS)
PATH = _Path()
WORKLOAD = _Workload()
COUNT = click.IntRange(min=1)


def list_of(kind: ParamType) -> ParamType:
    """The type of ``1,32`` for the type of ``1``."""
    return _List(kind)
