"""``ringway compare`` over a mock executor."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringway.bench.mock import MockExecutor
from ringway.bench.record import Comparison, from_json
from ringway.bench.report import html

Ringway = Callable[..., Any]


def test_compare_runs_every_path_and_fio(ringway: Ringway, mock: MockExecutor) -> None:
    result = ringway("compare", "data.bin")
    assert result.status == 0
    assert "In short" in result.out
    assert len(mock.runs) == 3 * 2 * ((8 + 6) + (7 + 5))
    assert {spec.workload.depth for spec in mock.runs} == {1, 32}
    assert {spec.workload.direct for spec in mock.runs} == {True, False}
    assert {spec.tool for spec in mock.runs} == {"ringway", "fio"}


def test_compare_writes_records(ringway: Ringway, folder: Path) -> None:
    result = ringway(
        "compare",
        "data.bin",
        "--paths",
        "posix,io_uring",
        "--depths",
        "1,8",
        "--repetitions",
        "2",
        "--direct",
        "--no-fio",
        "--json",
        "r.json",
        "--csv",
        "r.csv",
    )
    document = from_json((folder / "r.json").read_bytes())
    assert isinstance(document, Comparison)
    assert len(document.runs) == 8
    assert (folder / "r.csv").read_text().count("\n") == 9
    assert "wrote r.json" in result.err


def test_compare_without_a_target_leaves_a_report(
    ringway: Ringway, folder: Path, mock: MockExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("ringway.bench.scratch.WANTED", 8 << 20)
    monkeypatch.setattr("ringway.bench.scratch._LEAST", 4 << 20)
    result = ringway("compare", "--repetitions", "1")
    assert result.status == 0
    assert {file.name for file in folder.iterdir()} == {
        "data.bin",
        "ringway-report.html",
        "ringway-report.json",
    }
    document = from_json((folder / "ringway-report.json").read_bytes())
    assert document.target == "A file of 8 MiB made for the comparison"
    place = mock.runs[0].target  # the number of its descriptor may be in use again
    assert not os.path.exists(place) or "(deleted)" not in os.readlink(place)
    assert "A file of 8 MiB" in (folder / "ringway-report.html").read_text()


def test_a_file_of_its_own_may_be_written(
    ringway: Ringway, mock: MockExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringway.bench.scratch.WANTED", 8 << 20)
    monkeypatch.setattr("ringway.bench.scratch._LEAST", 4 << 20)
    monkeypatch.setattr(html, "find_spec", lambda _: None)
    result = ringway("compare", "--rw", "randwrite", "--repetitions", "1")
    assert result.status == 0
    assert "no page will be made" in result.err
    assert mock.runs[0].workload.writes


def test_a_page_is_refused_before_measuring(
    ringway: Ringway, mock: MockExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "find_spec", lambda _: None)
    result = ringway("compare", "data.bin", "--html", "r.html")
    assert result.status == 2
    assert "pip install 'ringway[plot]'" in result.err
    assert mock.runs == []


def test_fio_that_is_not_there(ringway: Ringway) -> None:
    refused = ringway("compare", "data.bin", "--fio", fio_installed=lambda: False)
    assert refused.status == 2
    assert "apt-get install fio" in refused.err
    told = ringway("compare", "data.bin", fio_installed=lambda: False)
    assert told.status == 0
    assert "no referee" in told.err
    silent = ringway("compare", "data.bin", "--no-fio", fio_installed=lambda: False)
    assert "referee" not in silent.err


def test_a_workload_file_shapes_the_comparison(ringway: Ringway, mock: MockExecutor) -> None:
    ringway("compare", "data.bin", "--workload", "bulk", "--paths", "posix", "--no-fio")
    assert {spec.workload.depth for spec in mock.runs} == {1, 4, 16}
    assert {spec.workload.rw for spec in mock.runs} == {"read"}
    ringway(
        "compare", "data.bin", "--workload", "bulk", "--paths", "posix", "--depths", "2", "--no-fio"
    )
    assert mock.runs[-1].workload.depth == 2


def test_runtimes_fit_a_few_minutes_unless_given(ringway: Ringway, mock: MockExecutor) -> None:
    ringway("compare", "data.bin")
    assert sum(spec.workload.seconds for spec in mock.runs) < 240
    mock.runs.clear()
    ringway("compare", "data.bin", "--runtime", "7", "--paths", "posix", "--no-fio")
    assert {spec.workload.runtime for spec in mock.runs} == {7.0}


def test_an_interrupted_comparison_writes_its_report(
    ringway: Ringway, mock: MockExecutor, folder: Path
) -> None:
    mock.stop_after = 5
    result = ringway("compare", "data.bin", "--json", "r.json")
    assert result.status == 130
    document = from_json((folder / "r.json").read_bytes())
    assert isinstance(document, Comparison)
    assert document.interrupted
    assert len(document.runs) == 5
    assert "Interrupted" in result.out


def test_a_path_that_fails_makes_status_1(ringway: Ringway, mock: MockExecutor) -> None:
    mock.fail["libaio"] = "EIO"
    result = ringway("compare", "data.bin", "--no-fio")
    assert result.status == 1
    assert "libaio (O_DIRECT): failed: EIO" in result.out


def test_nothing_to_measure(ringway: Ringway) -> None:
    result = ringway("compare", "data.bin", "--paths", "io_uring+iopoll", "--buffered")
    assert result.status == 1
    assert "no path can be measured on data.bin: io_uring+iopoll: iopoll needs" in result.err


def test_memory_has_no_buffering(ringway: Ringway, mock: MockExecutor) -> None:
    ringway("compare", "null:1GiB", "--repetitions", "1")
    assert {spec.path for spec in mock.runs} == {"null"}
    assert len(mock.runs) == 4
