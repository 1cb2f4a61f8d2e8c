"""The native executor and the API's faces, over paths that need no device."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from ringway.bench.api import ApiExecutor, offsets_of
from ringway.bench.executor import APIS, RunError, RunSpec, Status
from ringway.bench.native import NativeExecutor, bucket_values
from ringway.bench.record import Measurement
from ringway.bench.workload import Workload
from ringway.errors import RingwayError

MIB = 1 << 20
QUICK = Workload(runtime=0.1, ramp=0.02, depth=8)


def run(spec: RunSpec, seen: list[Status] | None = None) -> Measurement:
    def progress(status: Status) -> bool:
        if seen is not None:
            seen.append(status)
        return True

    executor = NativeExecutor() if spec.api == "native" else ApiExecutor()
    return executor.run(spec, progress)


@pytest.fixture
def file(tmp_path: Path) -> str:
    name = tmp_path / "data.bin"
    name.write_bytes(bytes(MIB))
    return str(name)


def check_figures(found: Measurement, work: Workload) -> None:
    assert found.operations > 100
    assert found.iops == pytest.approx(found.operations / found.seconds)
    assert found.bandwidth == pytest.approx(found.iops * work.bs)
    lat = found.latency_ns
    assert lat is not None
    assert 0 < lat.min <= lat.p50 <= lat.p90 <= lat.p99 <= lat.p99_9 <= lat.max
    assert found.cpu_ns_per_io is not None
    assert found.cpu_ns_per_io.total > 0
    assert found.reads + found.writes == found.operations
    assert found.errors == 0
    assert found.machine
    assert not found.interrupted


@pytest.mark.parametrize("rw", ["randread", "read", "randwrite", "rw"])
def test_the_native_loop(rw: str) -> None:
    work = Workload(rw=rw, runtime=0.1, ramp=0.02, depth=8)  # type: ignore[arg-type]
    found = run(RunSpec("mem:4MiB", "mem", work))
    check_figures(found, work)
    assert (found.path, found.tool, found.api) == ("mem", "ringway", "native")
    assert found.seconds == pytest.approx(0.1, abs=0.05)
    assert found.histogram is not None
    assert sum(found.histogram.count) == found.operations
    assert found.counters.syscalls is not None


def test_threads_and_a_byte_count() -> None:
    work = Workload(runtime=0, ramp=0, total=8 * MIB, threads=2, depth=4)
    assert run(RunSpec("mem:4MiB", "mem", work)).operations == 2048


def test_the_best_path_is_named(file: str) -> None:
    found = run(RunSpec(file, None, Workload(runtime=0.1, ramp=0, direct=False)))
    assert found.path.split("+")[0] in ("io_uring", "libaio", "posix")
    assert found.why


def test_progress_tells_the_ramp_and_the_operations() -> None:
    seen: list[Status] = []
    run(RunSpec("null:1MiB", "null", Workload(runtime=0.25, ramp=0.15, depth=4)), seen)
    assert seen[0].ramping
    assert seen[-1].operations > 0


def test_stopping_keeps_what_was_measured() -> None:
    spec = RunSpec("null:1MiB", "null", Workload(runtime=60, ramp=0, depth=4))
    found = NativeExecutor().run(spec, lambda status: status.seconds < 0.1)
    assert found.interrupted
    assert 0.05 < found.seconds < 2
    assert found.operations > 0


def test_ctrl_c_keeps_what_was_measured() -> None:
    def pressed(status: Status) -> bool:
        if status.seconds > 0.1:
            raise KeyboardInterrupt
        return True

    spec = RunSpec("null:1MiB", "null", Workload(runtime=60, ramp=0, depth=4))
    assert NativeExecutor().run(spec, pressed).interrupted


@pytest.mark.parametrize(
    ("target", "work", "code"),
    [
        ("/nonexistent", Workload(), errno.ENOENT),
        ("null:1MiB", Workload(bs=1000), errno.EINVAL),
        ("null:1MiB", Workload(span=2 * MIB), errno.ERANGE),
    ],
)
def test_what_cannot_run_is_an_error_of_ringways(target: str, work: Workload, code: int) -> None:
    with pytest.raises(RingwayError) as caught:
        run(RunSpec(target, None, work))
    assert caught.value.errno == code
    assert caught.value.strerror


def test_buckets_of_the_core_rise() -> None:
    values = bucket_values()
    assert values[0] == 0
    assert bool((np.diff(values.astype(np.int64)) > 0).all())


# ---------------------------------------------------------------- faces


@pytest.mark.parametrize("api", [api for api in APIS if api != "native"])
@pytest.mark.parametrize("rw", ["randread", "write"])
def test_faces_of_the_api(api: str, rw: str) -> None:
    work = Workload(rw=rw, runtime=0.1, ramp=0.02, depth=8)  # type: ignore[arg-type]
    found = run(RunSpec("mem:4MiB", "mem", work, api=api))
    check_figures(found, work)
    assert (found.api, found.path) == (api, "mem")
    assert (found.writes > 0) == (rw == "write")


def test_a_face_over_a_ring(file: str) -> None:
    work = Workload(runtime=0.1, ramp=0, depth=8, direct=False)
    check_figures(run(RunSpec(file, "io_uring", work, api="asyncio")), work)


@pytest.mark.parametrize("api", ["batch", "asyncio"])
def test_faces_stop_when_asked_to(api: str) -> None:
    spec = RunSpec("mem:4MiB", "mem", Workload(runtime=60, ramp=0, depth=8), api=api)
    found = ApiExecutor().run(spec, lambda status: status.seconds < 0.1)
    assert found.interrupted
    assert found.operations > 0


def test_faces_end_after_so_many_bytes() -> None:
    found = run(
        RunSpec("mem:4MiB", "mem", Workload(runtime=0, ramp=0, total=MIB, depth=8), api="sync")
    )
    assert MIB <= found.operations * 4096 < 2 * MIB


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rw": "randrw"}, "a mix of reads and writes"),
        ({"threads": 2}, "more than one thread"),
        ({"rate": 10}, "a rate limit"),
        ({"zipf": 0.9}, "zipf"),
        ({"verify": True}, "verification"),
    ],
)
def test_what_only_the_native_loop_does(fields: dict[str, object], message: str) -> None:
    work = Workload(**fields)  # type: ignore[arg-type]
    with pytest.raises(RunError, match=message):
        run(RunSpec("mem:4MiB", "mem", work, api="batch"))


def test_offsets_stay_in_the_range_and_repeat_with_the_seed() -> None:
    work = Workload(offset=8192, span=65536, seed=3)
    first = offsets_of(work, MIB, 1000, 0)
    assert first.min() >= 8192
    assert first.max() <= 8192 + 65536 - 4096
    assert bool((first % 4096 == 0).all())
    assert bool((first == offsets_of(work, MIB, 1000, 0)).all())
    assert bool((first != offsets_of(work, MIB, 1000, 1000)).any())


def test_sequential_offsets_go_round() -> None:
    work = Workload(rw="read", span=4 * 4096)
    assert (offsets_of(work, MIB, 6, 2) // 4096).tolist() == [2, 3, 0, 1, 2, 3]
    with pytest.raises(RunError, match="holds no block"):
        offsets_of(Workload(rw="read"), 1024, 1, 0)
