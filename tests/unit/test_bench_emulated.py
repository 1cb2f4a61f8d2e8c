"""The second comparison: how it is asked for, merged, and shown."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_bench_report import comparison, shown

from ringway.bench import emulated
from ringway.bench.emulated import compare_emulated, missing, with_instructions
from ringway.bench.record import Comparison, CpuPerIo, from_json, to_json
from ringway.bench.report import comparison_view, plotting_missing, to_html
from ringway.vm.acceleration import Acceleration
from ringway.vm.errors import DiedError, StoppedError, UnavailableError

FEW = {"paths": ("posix", "io_uring"), "depths": (1, 32), "repetitions": 1}


def engine(path: str) -> str:
    return path.split("+")[0]


def counted(document: Comparison, per_path: dict[str, float]) -> Comparison:
    """The same where each path took so much CPU time."""
    cells = [
        msgspec.structs.replace(
            cell,
            cpu_ns_per_io=CpuPerIo(user=1.0, system=per_path[engine(cell.path)] - 1.0, helpers=0.0),
        )
        for cell in document.cells
    ]
    return msgspec.structs.replace(document, cells=cells)


def test_cpu_time_of_the_counting_machine_becomes_instructions() -> None:
    document = comparison(**FEW)
    merged = with_instructions(document, counted(document, {"posix": 9000, "io_uring": 8000}))
    assert {engine(cell.path): cell.instructions_per_io for cell in merged.cells} == {
        "posix": 9000,
        "io_uring": 8000,
    }
    assert [cell.cpu_ns_per_io for cell in merged.cells] == [
        cell.cpu_ns_per_io for cell in document.cells
    ]
    assert (
        "io_uring takes the fewest instructions, 8.00k per I/O; posix takes 9.00k"
        in (merged.summary[0])
    )


def test_what_was_not_counted_stays_open() -> None:
    document = comparison(**FEW)
    nothing = msgspec.structs.replace(document, cells=[])
    merged = with_instructions(document, nothing)
    assert all(cell.instructions_per_io is None for cell in merged.cells)
    assert merged.summary == document.summary
    unseen = with_instructions(document, counted(document, {"posix": 0, "io_uring": 0}))
    assert all(cell.instructions_per_io is None for cell in unseen.cells)


@pytest.fixture
def both() -> Comparison:
    """A comparison with an emulated one in it."""
    host = comparison(**FEW)
    guest = with_instructions(host, counted(host, {"posix": 9000, "io_uring": 8000}))
    guest = msgspec.structs.replace(
        guest, target="/dev/nvme0n1", environment={**guest.environment, "machine": "emulated"}
    )
    return msgspec.structs.replace(host, emulated=guest)


def test_the_document_keeps_both(both: Comparison) -> None:
    assert from_json(to_json(both)) == both


def test_the_second_table_says_what_it_is(both: Comparison) -> None:
    text = shown(comparison_view(both))
    first, second = text.split("Emulated NVMe drive: ratios, not speed (emulated machine)")
    assert "instr/IO" not in first
    assert "instr/IO" in second
    assert "8.00k" in second
    assert "/dev/nvme0n1" in second


def test_the_page_holds_both_with_anchors_of_their_own(both: Comparison) -> None:
    if plotting_missing():
        pytest.skip("matplotlib is not installed")
    page = to_html(both)
    assert "Ratios, not speed." in page
    assert page.count("Instructions<br>per I/O") == len(both.verdicts)
    anchors = re.findall(r'<h3 id="(.+?)"', page)
    assert len(anchors) == 2 * (1 + len(both.verdicts))
    assert len(anchors) == len(set(anchors))


# ------------------------------------------------------------ the machine, faked


class _Host:
    def __init__(self, emulated: bool) -> None:
        self.acceleration = Acceleration("tcg" if emulated else "kvm", "")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Commands run by "machines", which answer with a document."""
    state: dict[str, Any] = {"commands": [], "status": 0, "emulated": True, "document": True}

    def run(host: object, job: Any, watch: object) -> tuple[int, str]:
        state["commands"].append(list(job.command))
        if state["document"]:
            record = Path(job.command[job.command.index("--json") + 1])
            assert record.parent in job.results
            record.write_bytes(to_json(comparison(**FEW)))
        return state["status"], "what it said last"

    monkeypatch.setattr(emulated, "find_host", lambda **_: _Host(state["emulated"]))
    monkeypatch.setattr(emulated, "_run", run)
    return state


def watch(line: str | None) -> bool:
    return True


def test_emulation_is_measured_once_for_time_and_once_for_instructions(
    machine: dict[str, Any],
) -> None:
    document = compare_emulated(["--depths", "1,32"], watch)
    timed, counting = machine["commands"]
    assert timed[:5] == [sys.executable, "-m", "ringway", "compare", "/dev/nvme0n1"]
    assert timed[-2:] == counting[-2:] == ["--depths", "1,32"]
    assert "--direct" in timed
    assert all(cell.instructions_per_io for cell in document.cells)


def test_under_kvm_nothing_counts_instructions(machine: dict[str, Any]) -> None:
    machine["emulated"] = False
    document = compare_emulated([], watch)
    assert len(machine["commands"]) == 1
    assert not any(cell.instructions_per_io for cell in document.cells)


def test_a_comparison_that_fails_in_there_tells_its_last_word(machine: dict[str, Any]) -> None:
    machine.update(status=2, document=False)
    with pytest.raises(DiedError, match="ended with 2: what it said last"):
        compare_emulated([], watch)


# ------------------------------------------------------------ the command


def fail_with(error: Exception) -> Any:
    def compare_it(words: list[str], watch: object) -> Comparison:
        raise error

    return compare_it


def run_compare(ringway: Any, *words: str) -> Any:
    few = ["--paths", "posix,io_uring", "--depths", "1", "--direct", "--no-fio"]
    return ringway("compare", "data.bin", *few, "--emulated", "--json", "r.json", *words)


def test_the_second_comparison_gets_the_same_request(
    ringway: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def compare_it(words: list[str], watch: Any) -> Comparison:
        asked.extend(words)
        assert watch("emulated NVMe drive: round 1 of 2")
        assert watch(None)
        return comparison(**FEW)

    monkeypatch.setattr(emulated, "compare_emulated", compare_it)
    result = run_compare(ringway, "--bs", "8k")
    assert result.status == 0
    assert "round 1 of 2" in result.err
    words = " ".join(asked)
    for part in ("--depths 1", "--bs 8192", "--rw randread", "--paths posix,io_uring", "--no-fio"):
        assert part in words
    document = from_json((folder / "r.json").read_bytes())
    assert isinstance(document, Comparison)
    assert document.emulated is not None


@pytest.mark.parametrize(
    ("error", "status", "part"),
    [
        (UnavailableError("there is no QEMU"), 0, "there is no QEMU"),
        (DiedError("QEMU was killed"), 1, "failed: QEMU was killed"),
        (StoppedError("interrupted"), 130, "Interrupted"),
    ],
)
def test_without_a_second_table_the_first_stays(
    ringway: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    part: str,
) -> None:
    monkeypatch.setattr(emulated, "compare_emulated", fail_with(error))
    result = run_compare(ringway)
    assert result.status == status
    assert part in result.out
    assert "posix" in result.out
    assert (folder / "r.json").exists()


def test_the_reason_stands_among_what_was_left_out() -> None:
    assert missing("why", failed=False).reason == "why"
    assert missing("why", failed=True).reason == "failed: why"
