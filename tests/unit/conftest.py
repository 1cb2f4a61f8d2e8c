"""A command line over a mock executor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringway.bench.mock import MockExecutor, mock_catalog
from ringway.cli.app import run
from ringway.cli.toolbox import Toolbox


class Result:
    """Exit status and what was printed."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def mock() -> MockExecutor:
    return MockExecutor()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.bin").write_bytes(bytes(1 << 20))
    return tmp_path


@pytest.fixture
def ringway(
    mock: MockExecutor, folder: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    def call(*arguments: str, **fields: Any) -> Result:
        parts: dict[str, Any] = {
            "executor": mock.of,
            "catalog": mock_catalog,
            "fio_installed": lambda: True,
            "environment": lambda target: {"kernel": "6.1", "target": target},
        }
        status = run(arguments, Toolbox(**{**parts, **fields}))
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return call
