"""fio: the job that does the same work, and its JSON in our record."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ringway.bench.executor import RunError, RunSpec
from ringway.bench.fio import FioExecutor, equivalent, job_text
from ringway.bench.fiojson import measurement_of
from ringway.bench.workload import Workload

RECORDED = (Path(__file__).parent / "bench_fio_3_33.json").read_text()
MIB = 1 << 20


@pytest.fixture
def target(tmp_path: Path) -> str:
    file = tmp_path / "data.bin"
    file.write_bytes(bytes(MIB))
    return str(file)


def settings(spec: RunSpec) -> dict[str, str]:
    lines = job_text(spec).splitlines()[1:]
    return dict(line.split("=", 1) for line in lines)


# ---------------------------------------------------------------- jobs


@pytest.mark.parametrize(
    ("path", "engine", "same"),
    [
        ("posix", "psync", "posix"),
        ("libaio", "libaio", "libaio"),
        ("io_uring", "io_uring", "io_uring+defer"),
        ("io_uring+fixed", "io_uring", "io_uring+fixed+defer"),
        ("io_uring+fixed+defer", "io_uring", "io_uring+fixed+defer"),
        ("io_uring+sqpoll", "io_uring", "io_uring+sqpoll"),
        ("io_uring+iopoll", "io_uring", "io_uring+iopoll"),
        ("io_uring_cmd+fixed", "io_uring_cmd", "io_uring_cmd+fixed+defer"),
    ],
)
def test_equivalents(path: str, engine: str, same: str) -> None:
    found = equivalent(path)
    assert found is not None
    assert (found.engine, found.path) == (engine, same)
    again = equivalent(found.path)
    assert again is not None
    assert again.path == same


def test_commands_are_asked_for_as_nvme_and_without_o_direct(target: str) -> None:
    job = settings(RunSpec(target, "io_uring_cmd", Workload(depth=8)))
    assert (job["cmd_type"], job["direct"], job["iodepth"]) == ("nvme", "0", "8")


def test_differences_are_told() -> None:
    plain, exact = equivalent("io_uring"), equivalent("io_uring+defer")
    assert plain is not None
    assert exact is not None
    assert "defers task work" in plain.differences[0]
    assert exact.differences == ()
    sqpoll = equivalent("io_uring+sqpoll")
    assert sqpoll is not None
    assert "registers" in sqpoll.differences[0]


def test_paths_that_fio_lacks() -> None:
    assert equivalent("mem") is None
    assert equivalent("io_uring+something") is None
    with pytest.raises(RunError, match="no engine like mem"):
        job_text(RunSpec("mem:1MiB", "mem", Workload()))


def test_the_job_asks_for_the_same_work(target: str) -> None:
    work = Workload(
        rw="randread",
        bs=4096,
        depth=32,
        batch=4,
        threads=2,
        runtime=1.5,
        ramp=0.2,
        offset=8192,
        seed=7,
        rate=1000,
        cpu=0,
    )
    job = settings(RunSpec(target, "io_uring+fixed+defer", work))
    assert job["filename"] == target
    assert int(job["size"]) == MIB - 8192
    expected = {
        "ioengine": "io_uring",
        "fixedbufs": "1",
        "registerfiles": "1",
        "nonvectored": "1",
        "rw": "randread",
        "bs": "4096",
        "offset": "8192",
        "direct": "1",
        "thread": "1",
        "numjobs": "2",
        "runtime": "1500ms",
        "time_based": "1",
        "ramp_time": "200ms",
        "randseed": "7",
        "norandommap": "1",
        "rate_iops": "500",
        "cpus_allowed": "0-1",
        "iodepth": "32",
        "iodepth_batch_submit": "32",
        "iodepth_batch_complete_min": "4",
        "iodepth_batch_complete_max": "32",
        "lat_percentiles": "1",
        "invalidate": "0",
        "allow_file_create": "0",
    }
    assert expected.items() <= job.items()


def test_what_a_job_leaves_out(target: str) -> None:
    job = settings(RunSpec(target, "posix", Workload(direct=False, total=MIB, runtime=0)))
    assert job["direct"] == "0"
    assert job["io_size"] == str(MIB)
    assert (
        not {
            "time_based",
            "runtime",
            "rate_iops",
            "rwmixread",
            "random_distribution",
            "cpus_allowed",
            "iodepth_batch_submit",
        }
        & job.keys()
    )


def test_mixes_and_skew(target: str) -> None:
    job = settings(RunSpec(target, "libaio", Workload(rw="randrw", mix=70, zipf=0.9)))
    assert job["rwmixread"] == "70"
    assert job["random_distribution"] == "zipf:0.9"


def test_null_targets_need_no_file() -> None:
    job = settings(RunSpec("null:1MiB", "null", Workload()))
    assert job["ioengine"] == "null"
    assert job["size"] == str(MIB)
    assert "filename" not in job


def test_colons_in_file_names_are_escaped(tmp_path: Path) -> None:
    file = tmp_path / "a:b"
    file.write_bytes(bytes(MIB))
    assert settings(RunSpec(str(file), "posix", Workload()))["filename"].endswith(r"a\:b")


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(RunError, match="No such file"):
        job_text(RunSpec("/nonexistent", "posix", Workload()))


# ---------------------------------------------------------------- results


def spec() -> RunSpec:
    return RunSpec("f", "io_uring+defer", Workload(rw="randrw", depth=8, threads=2), tool="fio")


def test_reads_and_writes_are_put_together() -> None:
    found = measurement_of(spec(), RECORDED)
    assert (found.tool, found.reads, found.writes) == ("fio", 13740, 6049)
    assert found.operations == 19789
    assert found.iops == pytest.approx(19789 / 0.301)
    assert found.bandwidth == pytest.approx(81055744 / 0.301)
    assert found.seconds == 0.301
    assert found.latency_ns is not None
    assert (found.latency_ns.p50, found.latency_ns.p99_99) == (203776, 24772608)
    assert found.histogram is not None
    assert found.histogram.value_ns == [35072, 43776, 46336]


def test_cpu_is_percent_of_the_summed_runtime() -> None:
    cpu = measurement_of(spec(), RECORDED).cpu_ns_per_io
    assert cpu is not None
    assert cpu.user == pytest.approx(0.666667 / 100 * 600e6 / 19789)
    assert cpu.system == pytest.approx(21.833333 / 100 * 600e6 / 19789)
    assert cpu.helpers == 0


def test_messages_before_the_document_are_skipped() -> None:
    assert measurement_of(spec(), "note: both iodepth >= 1\n" + RECORDED).operations == 19789


@pytest.mark.parametrize(
    ("text", "complaint", "message"),
    [
        ("", "fio: pid=0, err=2/file:filesetup.c:801, func=open: No such file\n", "No such file"),
        ("", "", "it said nothing"),
        ("{}", "bad option <x>", "bad option"),
    ],
)
def test_no_result_is_an_error_with_fios_words(text: str, complaint: str, message: str) -> None:
    with pytest.raises(RunError, match=message):
        measurement_of(spec(), text, complaint)


def test_errors_after_some_work_are_a_warning() -> None:
    text = RECORDED.replace('"error": 0', '"error": 5')
    found = measurement_of(spec(), text, "fio: io_u error")
    assert found.errors == 1
    assert found.warnings[0].code == "io-error"


# ---------------------------------------------------------------- the real fio

needs_fio = pytest.mark.skipif(shutil.which("fio") is None, reason="fio is not installed")


@needs_fio
def test_a_real_run(target: str) -> None:
    work = Workload(runtime=0.2, ramp=0.0, depth=1, direct=False)
    seen: list[float] = []
    found = FioExecutor().run(
        RunSpec(target, "posix", work, tool="fio"), lambda status: not seen.append(status.seconds)
    )
    assert found.operations > 100
    assert found.latency_ns is not None
    assert found.latency_ns.p50 > 0
    assert found.seconds == pytest.approx(0.2, abs=0.1)
    assert seen
    assert "ioengine=psync" in found.job


@needs_fio
def test_a_real_run_can_be_stopped(target: str) -> None:
    work = Workload(runtime=20, ramp=0.0, depth=1, direct=False)
    found = FioExecutor().run(
        RunSpec(target, "posix", work, tool="fio"), lambda status: status.seconds < 0.2
    )
    assert found.interrupted
    assert 0 < found.seconds < 5


def test_a_fio_that_fails(target: str) -> None:
    with pytest.raises(RunError, match="fio gave no result"):
        FioExecutor("/bin/false").run(RunSpec(target, "posix", Workload()), lambda _: True)


def test_a_range_without_a_block(target: str) -> None:
    with pytest.raises(RunError, match="holds no block of 2097152 bytes"):
        job_text(RunSpec(target, "posix", Workload(bs=2 * MIB)))


def test_no_fio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(RunError, match="apt-get install fio"):
        FioExecutor()
