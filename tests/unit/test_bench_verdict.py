"""Verdicts over the mock: which path, what the limit is, what is marked and refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from rich.console import Console

from ringway.bench.compare import run_plan
from ringway.bench.executor import RunSpec
from ringway.bench.mock import Bystander, MockExecutor, device_bound, mock_catalog
from ringway.bench.plan import CompareRequest, Plan, make_plan
from ringway.bench.record import Comparison, CpuPerIo, DeviceRate, Measurement
from ringway.bench.report import comparison_view
from ringway.bench.workload import Workload


def make(**fields: Any) -> Plan:
    base: dict[str, Any] = {
        "workload": Workload(runtime=1.0, ramp=0.2),
        "paths": ["posix", "libaio", "io_uring", "io_uring+defer"],
        "buffering": ("direct",),
        "fio": True,
    }
    return make_plan(CompareRequest("file", **{**base, **fields}), mock_catalog())


def compared(plan: Plan | None = None, machine: str = "native", **mock: Any) -> Comparison:
    return run_plan(plan or make(), MockExecutor(**mock), Bystander(), {"machine": machine})


def verdict(comparison: Comparison, depth: int = 32) -> Any:
    return next(one for one in comparison.verdicts if one.title.endswith(f"depth {depth}"))


def test_the_device_is_the_limit_where_unlike_paths_agree() -> None:
    found = verdict(compared())
    assert (found.limit, found.grade) == ("device", "sound")
    assert found.statement.startswith(
        "The device is the limit: libaio, io_uring and io_uring+defer reach 320k IOPS, "
        "32.0× posix (32.00 to 32.00). Choose by CPU:"
    )


def test_depth_is_told_first() -> None:
    found = compared()
    assert found.summary[0] == (
        "O_DIRECT, 4k random reads: going from depth 1 to 32 is worth 32.0× (10.0k to 320k IOPS)."
    )
    assert found.summary[1].startswith("O_DIRECT, 4k random reads, depth 32: The device is the")
    assert found.summary[-1].startswith(
        "The referee: where the device is the limit, ringway measures 1.00× to 1.00×"
    )


def faster(names: dict[str, float]) -> Callable[[RunSpec], float]:
    def model(spec: RunSpec) -> float:
        return 100_000.0 * (names.get(spec.path or "", 1.0) if spec.tool == "ringway" else 1.0)

    return model


def test_the_cheapest_of_equals_is_named() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        if spec.path == "libaio":
            found.cpu_ns_per_io = CpuPerIo(user=100.0, system=900.0, helpers=0.0)

    found = verdict(compared(change=change))
    assert found.cheapest == "libaio"
    assert "libaio spends 1.00 µs per I/O, io_uring 2.00 µs" in found.statement


def test_a_clear_winner_and_its_cost() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        if spec.path == "io_uring+defer":
            found.cpu_ns_per_io = CpuPerIo(user=200.0, system=800.0, helpers=0.0)

    found = verdict(compared(model=faster({"io_uring+defer": 1.5}), change=change))
    assert found.winner == "io_uring+defer"
    assert found.statement == (
        "io_uring+defer is the fastest: 150k IOPS (150k to 150k), 1.50× posix (1.50 to 1.50). "
        "It spends 1.00 µs of CPU per I/O, 0.50× what posix does. The device is the limit: the "
        "queue was full, and the CPU had time to spare."
    )


def test_a_queue_that_is_not_kept_full_is_the_paths_doing() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        lat = found.latency_ns
        assert lat is not None
        found.latency_ns = msgspec.structs.replace(lat, mean=lat.mean / 2)

    found = verdict(compared(model=faster({"io_uring+defer": 1.5}), change=change))
    assert found.limit == "path"
    assert "Rate × latency gives 16.0 of 32 operations in flight." in found.details


def test_a_faster_fio_means_that_the_target_is_not_the_limit() -> None:
    def model(spec: RunSpec) -> float:
        return device_bound(spec) * (1.5 if spec.tool == "fio" else 1.0)

    found = verdict(compared(model=model))
    assert found.limit == "unclear"
    assert any(mark.startswith("fio libaio reaches 1.50× of") for mark in found.marks)
    assert "device is the limit" not in found.statement


def test_labels_with_brackets_survive_the_terminal() -> None:
    plan = make(paths=["posix"], apis=("native", "batch"), fio=False, repetitions=1)
    console = Console(width=120, highlight=False)
    with console.capture() as capture:
        console.print(comparison_view(compared(plan)))
    assert "posix [batch]" in capture.get()


def test_busy_threads_mean_the_cpu_is_the_limit() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        found.cpu_ns_per_io = CpuPerIo(user=2000.0, system=8000.0 / 1.5, helpers=0.0)

    found = verdict(compared(model=faster({"io_uring+defer": 1.5}), change=change))
    assert found.limit == "cpu"


def test_page_cached_runs_have_no_device_to_wait_for() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        found.cpu_ns_per_io = CpuPerIo(user=0.0, system=1e9 / found.iops, helpers=0.0)

    found = verdict(compared(make(buffering=("cached",)), change=change))
    assert (found.limit, found.grade) == ("cpu", "sound")
    assert "The page cache answered: mock0 moved nothing." in found.details


def test_threads_that_were_kept_from_running_are_found() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        found.cpu_ns_per_io = CpuPerIo(user=0.0, system=0.5e9 / found.iops, helpers=0.0)

    found = verdict(compared(make(buffering=("cached",)), change=change))
    assert any("ran only 50% of the time" in mark for mark in found.marks)


def test_a_device_that_disagrees_takes_the_verdict_with_it() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        found.device = DeviceRate(
            device="sda", bandwidth=found.bandwidth * 2, commands=0.0, busy=1.0
        )

    found = verdict(compared(change=change))
    assert found.limit == "unclear"
    assert any("something else used sda as well" in mark for mark in found.marks)


def test_an_impossible_latency_is_found() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        found.iops *= 2

    assert any("one of the two is wrong" in mark for mark in verdict(compared(change=change)).marks)


def test_unsteady_repetitions_are_marked_and_not_told_apart() -> None:
    calls: list[int] = []

    def model(spec: RunSpec) -> float:
        calls.append(1)
        return device_bound(spec) * (1.5 if len(calls) % 3 == 0 else 1.0)

    found = verdict(compared(model=model))
    assert found.grade == "marked"
    assert any("repetitions differ" in mark for mark in found.marks)


def test_a_path_as_fast_in_one_round_is_not_told_apart() -> None:
    speeds = {"posix": iter([80.0, 101.0, 80.0]), "libaio": iter([100.0, 100.0, 100.0])}
    plan = make(paths=["posix", "libaio"], depths=(32,), fio=False)
    found = verdict(compared(plan, model=lambda spec: next(speeds[spec.path or ""])))
    assert "posix and libaio" in found.statement or "all paths" in found.statement


def test_one_round_is_not_enough() -> None:
    found = verdict(compared(make(repetitions=1)))
    assert any("--repetitions 3" in mark for mark in found.marks)
    assert "(" not in found.statement.split(" posix")[0].split("32.0×")[1]


def test_emulated_machines_are_marked() -> None:
    found = verdict(compared(machine="emulated"))
    assert any("instruction counts" in mark for mark in found.marks)


def test_unlike_machines_are_refused() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        if spec.path == "libaio":
            found.machine = "emulated"

    found = verdict(compared(change=change))
    assert found.grade == "refused"
    assert found.statement.startswith(
        "No verdict: the runs are not alike: posix and libaio: native against emulated machine"
    )


def test_unlike_work_is_refused() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        if spec.path == "libaio":
            found.workload = msgspec.structs.replace(found.workload, bs=8192)

    found = verdict(compared(change=change))
    assert found.grade == "refused"
    assert "bs 4096 against 8192" in found.statement


def test_paths_with_errors_cannot_win() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        found.errors = 3 if spec.path == "io_uring" and spec.tool == "ringway" else 0

    found = verdict(compared(change=change))
    assert found.winner != "io_uring"
    assert "operations failed on io_uring" in found.marks


def test_no_path_without_errors_no_verdict() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        found.errors = 1

    assert verdict(compared(change=change)).grade == "refused"


def test_laggards_are_named_with_their_cost() -> None:
    def change(spec: RunSpec, found: Measurement) -> None:
        if "sqpoll" in (spec.path or ""):
            found.cpu_ns_per_io = CpuPerIo(user=0.0, system=0.0, helpers=9000.0)

    model = faster({"io_uring+sqpoll": 0.3})
    found = verdict(
        compared(make(paths=["posix", "io_uring", "io_uring+sqpoll"]), model=model, change=change)
    )
    assert (
        "io_uring+sqpoll reaches 30% of the fastest, with 9.00 µs per I/O in kernel threads."
        in found.details
    )


def test_targets_without_a_device() -> None:
    plan = make_plan(
        CompareRequest("null:1GiB", Workload(runtime=1.0), buffering=("direct",), fio=False),
        mock_catalog(),
    )

    def change(spec: RunSpec, found: Measurement) -> None:
        found.device = None

    found = verdict(compared(plan, change=change))
    assert found.winner == "null"
    assert found.limit == "unclear"
