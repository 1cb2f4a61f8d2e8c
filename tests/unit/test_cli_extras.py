"""The small commands, completion, and the real command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ringway.bench.record import BenchDocument, from_json

Ringway = Callable[..., Any]


def test_reports_from_records(ringway: Ringway, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    ringway("compare", "data.bin", "--json", "r.json", "--repetitions", "1")
    assert "In short" in ringway("report", "r.json").out
    assert ringway("report", "r.json", "--html", "r.html", "--csv", "r.csv").status == 0
    assert "<svg" in (folder / "r.html").read_text()
    (folder / "b.json").write_text(ringway("bench", "data.bin", "--json").out)
    assert "IOPS" in ringway("report", "b.json").out
    (folder / "x.json").write_text("{}")
    assert ringway("report", "x.json").status == 2


@pytest.mark.parametrize("kind", ["bench", "compare"])
def test_schemas(ringway: Ringway, kind: str) -> None:
    schema = msgspec.json.decode(ringway("schema", kind).out)
    assert schema["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(ringway: Ringway, shell: str) -> None:
    assert "_RINGWAY_COMPLETE" in ringway("completion", shell).out


def test_help_has_examples(ringway: Ringway) -> None:
    for command in ("bench", "compare", "doctor"):
        text = ringway(command, "--help").out
        assert f"ringway {command}" in text.split("Examples")[1]
    assert "Begin with" in ringway("--help").out


def test_workloads_are_listed(ringway: Ringway) -> None:
    text = ringway("workloads").out
    assert "bulk" in text
    assert "1 MiB sequential reads" in text


def test_the_doctor(ringway: Ringway) -> None:
    result = ringway("doctor", "data.bin")
    assert result.status == 0
    assert "posix" in result.out
    assert ringway("doctor", "nothing.bin").status == 2
    findings = msgspec.json.decode(ringway("doctor", "data.bin", "--json").out)
    assert {"path", "options", "usable", "reason", "advice"} <= findings[0].keys()


# ---------------------------------------------------------------- the real thing


def real(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from ringway.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_the_real_bench() -> None:
    result = real("bench", "mem:4MiB", "--runtime", "0.1", "--ramp", "0", "--json")
    assert result.returncode == 0, result.stderr
    document = from_json(result.stdout.encode())
    assert isinstance(document, BenchDocument)
    assert document.operations > 1000
    assert document.path == "mem"


def test_real_errors() -> None:
    result = real("bench", "/nonexistent")
    assert result.returncode == 2
    assert result.stderr.startswith("ringway: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("ringway bench f --path io_uring+fixed+", "io_uring+fixed+defer"),
        ("ringway bench f --path po", "posix"),
        ("ringway compare f --paths posix,lib", "posix,libaio"),
        ("ringway bench f --workload bu", "bulk"),
        ("ringway bench f --rw randr", "randread"),
        ("ringway com", "compare"),
    ],
)
def test_completion_knows_the_words(words: str, wanted: str) -> None:
    result = real(
        _RINGWAY_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1)
    )
    assert f"plain,{wanted}" in result.stdout.splitlines()


def test_ctrl_c_in_a_real_run(folder: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from ringway.cli import main; main()",
            "bench",
            "mem:4MiB",
            "--runtime",
            "30",
            "--ramp",
            "0",
            "--json",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=2)
        process.send_signal(2)
        out, _ = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 130
    document = from_json(out)
    assert isinstance(document, BenchDocument)
    assert document.interrupted
    assert 0 < document.seconds < 10
