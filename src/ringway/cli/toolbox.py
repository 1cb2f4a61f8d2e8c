"""What the commands work with; tests hand in a toolbox of mocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import click
from rich.console import Console

from ringway.bench.environment import collect
from ringway.bench.executor import Executor
from ringway.bench.record import Environment
from ringway.paths import Catalog, native_catalog

_WIDTH = 110


def real_executor(tool: str, api: str) -> Executor:
    """fio, the native loop, or a face of the API."""
    if tool == "fio":
        from ringway.bench.fio import FioExecutor

        return FioExecutor()
    if api == "native":
        from ringway.bench.native import NativeExecutor

        return NativeExecutor()
    from ringway.bench.api import ApiExecutor

    return ApiExecutor()


def _fio_installed() -> bool:
    from ringway.bench.fio import installed

    return installed() is not None


@dataclass
class Toolbox:
    """Where commands find executors, paths and facts about the machine."""

    executor: Callable[[str, str], Executor] = real_executor
    catalog: Callable[[], Catalog] = native_catalog
    environment: Callable[[str], Environment] = collect
    fio_installed: Callable[[], bool] = _fio_installed
    _executors: dict[tuple[str, str], Executor] = field(default_factory=dict)

    def of(self, tool: str, api: str) -> Executor:
        """The executor for a tool and a face of the API, made once."""
        key = (tool, "native" if tool == "fio" else api)
        if key not in self._executors:
            self._executors[key] = self.executor(*key)
        return self._executors[key]

    @staticmethod
    def console() -> Console:
        """Standard output; wide enough for the tables where it is no terminal."""
        console = Console(highlight=False)
        return console if console.is_terminal else Console(highlight=False, width=_WIDTH)


pass_toolbox = click.make_pass_decorator(Toolbox, ensure=True)
