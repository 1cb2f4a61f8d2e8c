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
from ringway.vm.qemu import TopologyError
from ringway.vm.setup import topology_on

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
    def __init__(self, emulated: bool, count_instructions: bool = False) -> None:
        self.acceleration = Acceleration("tcg" if emulated else "kvm", "")
        self.count_instructions = count_instructions


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Commands run by "machines", which answer with a document."""
    state: dict[str, Any] = {
        "commands": [],
        "polled": [],
        "status": 0,
        "emulated": True,
        "document": True,
        "counting": None,
        "record": None,
    }

    def run(host: Any, job: Any, watch: object) -> tuple[int, str]:
        state["commands"].append(list(job.command))
        started = topology_on(host, job.topology)
        state["polled"].append(started.machine.parameters["nvme"]["poll_queues"])
        if state["counting"] and len(state["commands"]) == 2:
            raise state["counting"]
        if state["document"]:
            record = Path(job.command[job.command.index("--json") + 1])
            assert record.parent in job.results
            record.write_bytes(state["record"] or to_json(comparison(**FEW)))
        return state["status"], "what it said last"

    monkeypatch.setattr(emulated, "find_host", lambda **words: _Host(state["emulated"], **words))
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
    assert machine["polled"] == [2, 1]  # it has so many CPUs
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


def last(command: list[str], option: str) -> str:
    """The value that counts, of an option that may be given twice."""
    return command[len(command) - command[::-1].index(option)]


def test_given_lengths_win_where_time_is_measured(machine: dict[str, Any]) -> None:
    compare_emulated([], watch, ["--runtime", "7", "--repetitions", "5"])
    timed, counting = machine["commands"]
    assert (last(timed, "--runtime"), last(timed, "--repetitions")) == ("7", "5")
    assert (last(counting, "--runtime"), last(counting, "--repetitions")) == ("0.1", "1")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DiedError("QEMU was killed"), "failed: QEMU was killed"),
        (TopologyError("no such option"), "failed: no such option"),
        (OSError(28, "No space left on device"), "failed: No space left on device"),
        (RuntimeError("a bug"), "failed: RuntimeError: a bug"),
    ],
)
def test_without_a_count_the_times_stay(
    machine: dict[str, Any], error: Exception, reason: str
) -> None:
    machine["counting"] = error
    document = compare_emulated([], watch)
    assert document.cells
    assert not any(cell.instructions_per_io for cell in document.cells)
    assert (document.left_out[-1].path, document.left_out[-1].reason) == (
        "instructions per I/O",
        reason,
    )


@pytest.mark.parametrize("error", [StoppedError("interrupted"), KeyboardInterrupt()])
def test_an_interrupted_count_leaves_the_times(
    machine: dict[str, Any], error: BaseException
) -> None:
    machine["counting"] = error
    document = compare_emulated([], watch)
    assert document.interrupted
    assert document.cells


def test_after_an_interruption_nothing_is_counted(machine: dict[str, Any]) -> None:
    whole = comparison(**FEW)
    machine["record"] = to_json(msgspec.structs.replace(whole, interrupted=True))
    assert compare_emulated([], watch).interrupted
    assert len(machine["commands"]) == 1


def test_a_record_that_cannot_be_read(machine: dict[str, Any]) -> None:
    machine["record"] = b'{"schema": "ringway.comp'
    with pytest.raises(DiedError, match="a record that cannot be read"):
        compare_emulated([], watch)


@pytest.mark.parametrize(("status", "told"), [(0, False), (1, False), (130, False), (139, True)])
def test_an_end_that_the_record_does_not_tell_is_told(
    machine: dict[str, Any], status: int, told: bool
) -> None:
    machine.update(status=status, emulated=False)
    reasons = [one.reason for one in compare_emulated([], watch).left_out]
    end = f"failed: the comparison in the machine ended with {status}: what it said last"
    assert (end in reasons) == told


# ------------------------------------------------------------ the command


def fail_with(error: BaseException) -> Any:
    def compare_it(words: list[str], watch: object, lengths: list[str]) -> Comparison:
        raise error

    return compare_it


def run_compare(ringway: Any, *words: str) -> Any:
    few = ["--paths", "posix,io_uring", "--depths", "1", "--direct", "--no-fio"]
    return ringway("compare", "data.bin", *few, "--emulated", "--json", "r.json", *words)


def test_the_second_comparison_gets_the_same_request(
    ringway: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def compare_it(words: list[str], watch: Any, lengths: list[str]) -> Comparison:
        asked.extend(words)
        assert lengths == []
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
        (KeyboardInterrupt(), 130, "Interrupted"),
        (TopologyError("no such device"), 1, "failed: no such device"),
        (OSError(28, "No space left on device"), 1, "failed: No space left on device"),
        (RuntimeError("a bug"), 1, "failed: RuntimeError: a bug"),
    ],
)
def test_without_a_second_table_the_first_stays(
    ringway: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: int,
    part: str,
) -> None:
    monkeypatch.setattr(emulated, "compare_emulated", fail_with(error))
    result = run_compare(ringway)
    assert result.status == status
    assert part in result.out
    assert "posix" in result.out
    assert (folder / "r.json").exists()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the machine was asked for; it answers with "document"."""
    state: dict[str, Any] = {"document": comparison(**FEW)}

    def compare_it(words: list[str], watch: object, lengths: list[str]) -> Comparison:
        state.update(words=" ".join(words), lengths=" ".join(lengths))
        return state["document"]  # type: ignore[no-any-return]

    monkeypatch.setattr(emulated, "compare_emulated", compare_it)
    return state


def test_what_shapes_the_workload_reaches_the_machine(ringway: Any, asked: dict[str, Any]) -> None:
    options = "--rw randrw --mix 90 --threads 2 --zipf 0.9 --batch 4 --rate 1000 --seed 7"
    own = "--offset 4k --span 512k --cpu any --total 1m --write"
    assert run_compare(ringway, *options.split(), *own.split()).status == 0
    for part in ("--rw randrw", "--mix 90", "--threads 2", "--zipf 0.9", "--batch 4"):
        assert part in asked["words"]
    for part in ("--rate 1000", "--seed 7", "--total 1048576"):
        assert part in asked["words"]
    for option in ("--offset", "--span", "--cpu", "--verify", "--runtime", "--ramp"):
        assert option not in asked["words"]


def test_a_workload_file_reaches_the_machine(
    ringway: Any, folder: Path, asked: dict[str, Any]
) -> None:
    run_compare(ringway, "--workload", "mixed", "--write")
    for part in ("--rw randrw", "--bs 8192", "--mix 70", "--zipf 0.9"):
        assert part in asked["words"]
    work = '[workload]\nruntime = "20ms"\nramp = 0\n[compare]\nrepetitions = 4\n'
    (folder / "mine.toml").write_text(work)
    run_compare(ringway, "--workload", "mine.toml")
    assert asked["lengths"] == "--runtime 0.020000000 --ramp 0.000000000 --repetitions 4"
    run_compare(ringway, "--workload", "mine.toml", "--runtime", "2", "--repetitions", "1")
    assert asked["lengths"] == "--runtime 2.000000000 --ramp 0.000000000 --repetitions 1"


def test_what_the_second_table_does_not_share_is_said(ringway: Any, asked: dict[str, Any]) -> None:
    short = msgspec.structs.replace(asked["document"].workload, runtime=0.5)
    asked["document"] = msgspec.structs.replace(
        asked["document"], workload=short, repetitions=2, summary=["First."]
    )
    out = " ".join(run_compare(ringway, "--rw", "randwrite", "--verify", "--write").out.split())
    assert "Shortened for the emulated drive: runs of 0.5 s in 2 rounds" in out
    assert "Nothing was verified here" in out
    same = run_compare(ringway, "--runtime", "0.5", "--repetitions", "2").out
    assert "Shortened" not in same
    assert "verified" not in same


def test_failures_on_the_emulated_drive_are_failures(ringway: Any, asked: dict[str, Any]) -> None:
    good = asked["document"]
    assert run_compare(ringway).status == 0
    asked["document"] = msgspec.structs.replace(good, left_out=[missing("EIO", True, "libaio")])
    assert run_compare(ringway).status == 1
    broken = msgspec.structs.replace(good.cells[0], errors=3)
    asked["document"] = msgspec.structs.replace(good, cells=[broken, *good.cells[1:]])
    assert run_compare(ringway).status == 1
    asked["document"] = msgspec.structs.replace(good, interrupted=True)
    assert run_compare(ringway).status == 130


def test_paths_that_only_the_emulated_drive_has(ringway: Any, asked: dict[str, Any]) -> None:
    environment = {"machine": "emulated"}
    asked["document"] = msgspec.structs.replace(asked["document"], environment=environment)
    words = ["data.bin", "--paths", "io_uring+iopoll", "--buffered", "--no-fio"]
    result = ringway("compare", *words, "--emulated", "--html", "r.html")
    assert result.status == 0
    assert "Left out" in result.out
    assert "Emulated NVMe drive" in result.out
    assert ringway("compare", *words).status == 1


def test_the_reason_stands_among_what_was_left_out() -> None:
    assert missing("why", failed=False).reason == "why"
    assert missing("why", failed=True).reason == "failed: why"
