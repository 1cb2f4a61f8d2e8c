"""The scratch file: real data, no name, nothing left behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from ringway.bench import scratch
from ringway.bench.executor import RunError
from ringway.bench.scratch import scratch_file, scratch_size, warm_cache

MIB = 1 << 20


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "WANTED", 8 * MIB)
    monkeypatch.setattr(scratch, "_LEAST", 4 * MIB)


def go_on(_: float) -> bool:
    return True


def test_it_has_written_data_and_no_name(tmp_path: Path) -> None:
    with scratch_file(str(tmp_path), go_on) as made:
        assert made.size == 8 * MIB
        assert os.listdir(tmp_path) == []
        assert os.stat(made.target).st_blocks * 512 >= made.size
        with open(made.target, "rb") as file:
            first = file.read(MIB)
        assert len(set(first)) == 256
        assert "8 MiB" in made.name
    assert not os.path.exists(made.target)


def test_it_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[float] = []
    with scratch_file(str(tmp_path), lambda share: not told.append(share)):
        pass
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_stopping_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch_file(str(tmp_path), lambda _: False):
        pass
    assert os.listdir(tmp_path) == []


def test_an_error_inside_closes_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_file(str(tmp_path), go_on) as made:
        1 / 0  # noqa: B018
    assert not os.path.exists(made.target)


def test_size_follows_the_room_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=30 * MIB))
    assert scratch_size(".") == 4 * MIB
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=15 * MIB))
    with pytest.raises(RunError, match=r"15 MiB free in \. is too little"):
        scratch_size(".")


def test_warming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_bytes(bytes(MIB))
    assert warm_cache(str(file), 0, 0, go_on)
    assert warm_cache(str(file), 4096, 8192, go_on)
    assert not warm_cache("/nonexistent", 0, 0, go_on)
    monkeypatch.setattr(scratch, "_memory", lambda: MIB)
    assert not warm_cache(str(file), 0, 0, go_on)
