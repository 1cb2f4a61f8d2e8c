"""``ringway bench`` over a mock executor, and every way out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from ringway.bench.executor import Executor
from ringway.bench.mock import MockExecutor
from ringway.bench.record import BenchDocument, from_json

Ringway = Callable[..., Any]


def test_bench_prints_a_table(ringway: Ringway, mock: MockExecutor) -> None:
    result = ringway("bench", "data.bin", "--path", "io_uring", "--depth", "16")
    assert result.status == 0
    assert "160k" in result.out
    (spec,) = mock.runs
    assert (spec.path, spec.workload.depth, spec.workload.rw) == ("io_uring", 16, "randread")
    assert spec.workload.direct


def test_bench_json_is_one_document_and_nothing_else(ringway: Ringway) -> None:
    result = ringway(
        "bench",
        "data.bin",
        "--path",
        "io_uring+fixed",
        "--rw",
        "randread",
        "--bs",
        "4k",
        "--depth",
        "32",
        "--runtime",
        "3",
        "--buffered",
        "--json",
    )
    document = from_json(result.out.encode())
    assert isinstance(document, BenchDocument)
    assert (document.path, document.iops) == ("io_uring+fixed", 320_000)
    assert document.environment["kernel"] == "6.1"
    assert (document.workload.bs, document.workload.direct) == (4096, False)
    assert result.err == ""
    assert json.loads(result.out)["schema"] == "ringway.bench/1"


def test_bench_options_reach_the_workload(ringway: Ringway, mock: MockExecutor) -> None:
    ringway(
        "bench",
        "data.bin",
        "--threads",
        "2",
        "--ramp",
        "100ms",
        "--offset",
        "8k",
        "--span",
        "64k",
        "--total",
        "1m",
        "--rate",
        "5",
        "--batch",
        "4",
        "--zipf",
        "0.5",
        "--seed",
        "9",
        "--cpu",
        "0",
        "--bs",
        "8KiB",
        "--api",
        "asyncio",
    )
    work = mock.runs[0].workload
    assert (work.threads, work.ramp, work.offset, work.span) == (2, 0.1, 8192, 65536)
    assert (work.total, work.rate, work.batch, work.zipf, work.seed) == (1 << 20, 5, 4, 0.5, 9)
    assert (work.cpu, work.bs, mock.runs[0].api) == (0, 8192, "asyncio")


def test_threads_are_pinned_unless_told(ringway: Ringway, mock: MockExecutor) -> None:
    ringway("bench", "data.bin")
    ringway("bench", "data.bin", "--cpu", "any")
    assert mock.runs[0].workload.cpu in os.sched_getaffinity(0)
    assert mock.runs[1].workload.cpu is None


def test_the_command_line_overrides_the_workload_file(ringway: Ringway, mock: MockExecutor) -> None:
    ringway("bench", "data.bin", "--workload", "bulk", "--depth", "2")
    work = mock.runs[0].workload
    assert (work.rw, work.bs, work.depth) == ("read", 1 << 20, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench"], "Missing argument 'TARGET'"),
        (["bench", "f", "--path", "io_urin"], "unknown path 'io_urin'; did you mean io_uring?"),
        (["bench", "f", "--path", "io_uring+fixd"], "did you mean io_uring+fixed?"),
        (["bench", "f", "--rw", "randreed"], "did you mean randread?"),
        (["bench", "f", "--api", "asincio"], "did you mean asyncio?"),
        (["bench", "f", "--workload", "randred"], "did you mean randread?"),
        (["bench", "f", "--bs", "4x"], "'4x' is not a size"),
        (["bench", "f", "--runtime", "soon"], "'soon' is not a time"),
        (["bench", "f", "--depth", "0"], "0 is not in the range"),
        (["bench", "f", "--depth", "99999"], "depth: 99999 is outside 1 to 4096"),
        (["bench", "f", "--zipf", "0.5", "--rw", "read"], "zipf: needs random offsets"),
        (["bench", "f", "--cpu", "one"], "give a number, or any"),
        (["bench", "f", "--nonsense"], "No such option"),
        (["compre"], "unknown command 'compre'; did you mean compare?"),
        (["compare", "f", "--paths", "posix,libio"], "did you mean libaio?"),
        (["compare", "f", "--depths", "1,x"], "'x' is not a valid integer"),
        (["compare", "f", "--paths", ","], "at least one value"),
        (["compare", "f", "--json", "/nonexistent/x.json"], "cannot be written to"),
        (["report", "nothing.json"], "does not exist"),
        (["completion", "tcsh"], "is not one of"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(
    ringway: Ringway, arguments: list[str], message: str
) -> None:
    result = ringway(*arguments)
    assert result.status == 2
    assert message in result.err
    assert result.err.startswith("ringway: ")
    assert result.err.count("\n") == 1
    assert result.out == ""


@pytest.mark.parametrize("command", ["bench", "compare"])
def test_writing_needs_a_flag(ringway: Ringway, mock: MockExecutor, command: str) -> None:
    result = ringway(command, "data.bin", "--rw", "randwrite")
    assert result.status == 2
    assert "overwrites data.bin; add --write" in result.err
    assert mock.runs == []
    assert ringway(command, "data.bin", "--rw", "randwrite", "--write").status == 0
    assert ringway(command, "mem:1MiB", "--rw", "randwrite").status == 0


def test_io_that_fails_is_status_1(ringway: Ringway, mock: MockExecutor) -> None:
    mock.fail["libaio"] = "the device returned EIO"
    result = ringway("bench", "data.bin", "--path", "libaio")
    assert (result.status, result.err) == (1, "ringway: the device returned EIO\n")


def raising(error: Exception) -> Callable[[str, str], Executor]:
    def executor(tool: str, api: str) -> Executor:
        raise error

    return executor


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FileNotFoundError(2, "f does not exist"), 2),
        (IsADirectoryError(21, "f is a directory"), 2),
        (OSError(22, "bs is no multiple of 512"), 2),
        (PermissionError(13, "no permission for f"), 1),
        (OSError(5, "I/O error"), 1),
        (ImportError("no core"), 1),
    ],
)
def test_errors_are_one_line(ringway: Ringway, error: Exception, status: int) -> None:
    result = ringway("bench", "f", executor=raising(error))
    text = error.strerror if isinstance(error, OSError) else str(error)
    assert (result.status, result.err) == (status, f"ringway: {text}\n")


def test_bugs_keep_their_traceback(ringway: Ringway) -> None:
    with pytest.raises(KeyError):
        ringway("bench", "f", executor=raising(KeyError("x")))


def test_ctrl_c_prints_what_was_measured(ringway: Ringway, mock: MockExecutor) -> None:
    mock.stop_after = 1
    result = ringway("bench", "data.bin", "--json")
    assert result.status == 130
    document = from_json(result.out.encode())
    assert isinstance(document, BenchDocument)
    assert document.interrupted


def test_ctrl_c_before_anything_was_measured(ringway: Ringway, mock: MockExecutor) -> None:
    def pressed(_: object) -> float:
        raise KeyboardInterrupt

    mock.model = pressed
    for command in ("bench", "compare"):
        result = ringway(command, "data.bin")
        assert (result.status, result.out) == (130, "")
        assert "interrupted" in result.err
