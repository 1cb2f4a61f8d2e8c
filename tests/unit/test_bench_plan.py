"""Plans: which paths, in which order, and what is left out."""

from __future__ import annotations

import os

import pytest

from ringway.bench.mock import mock_catalog
from ringway.bench.plan import (
    CompareRequest,
    Plan,
    Variant,
    default_cpu,
    fitting_runtime,
    make_plan,
    with_runtime,
)
from ringway.bench.workload import Workload


@pytest.fixture(autouse=True)
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})


def plan(refused: dict[str, str] | None = None, **fields: object) -> Plan:
    base: dict[str, object] = {"workload": Workload(runtime=1.0, ramp=0.2, cpu=3), "fio": False}
    request = CompareRequest("file", **{**base, **fields})  # type: ignore[arg-type]
    return make_plan(request, mock_catalog(refused))


def labels(found: Plan) -> list[str]:
    return list(dict.fromkeys(step.variant.label for step in found.steps))


def test_every_path_and_option_plainest_first() -> None:
    assert labels(plan()) == [
        "posix",
        "libaio",
        "io_uring",
        "io_uring+defer",
        "io_uring+fixed",
        "io_uring+iopoll",
        "io_uring+sqpoll",
        "io_uring+fixed+defer",
    ]


def test_rounds_are_interleaved() -> None:
    found = plan(paths=["posix", "io_uring"], depths=(1, 8), repetitions=2, buffering=("direct",))
    order = [(step.round, step.group.workload.depth, step.variant.label) for step in found.steps]
    assert order == [
        (1, 1, "posix"),
        (1, 1, "io_uring"),
        (1, 8, "posix"),
        (1, 8, "io_uring"),
        (2, 1, "posix"),
        (2, 1, "io_uring"),
        (2, 8, "posix"),
        (2, 8, "io_uring"),
    ]


def test_fio_stands_beside_each_path_once() -> None:
    found = plan(fio=True, paths=["posix", "io_uring", "io_uring+defer", "io_uring+fixed"])
    assert labels(found)[4:] == ["fio psync", "fio io_uring", "fio io_uring+fixed"]


def test_fio_cannot_check_our_pattern() -> None:
    found = plan(fio=True, paths=["posix"], workload=Workload(rw="randrw", verify=True))
    assert labels(found) == ["posix"]
    assert found.left_out[0].tool == "fio"


def test_reasons_for_what_is_left_out() -> None:
    found = plan({"io_uring+iopoll": "no poll queues"}, buffering=("direct", "cached"))
    assert {(one.path, one.where, one.reason) for one in found.left_out} == {
        ("io_uring+iopoll", "O_DIRECT", "no poll queues"),
        ("io_uring+iopoll", "Page-cached", "iopoll needs O_DIRECT: leave out --buffered"),
    }


def test_one_reason_for_everywhere() -> None:
    found = plan({"libaio": "not here"})
    assert [(one.path, one.where) for one in found.left_out if one.path == "libaio"] == [
        ("libaio", "everywhere")
    ]


def test_options_do_not_repeat_the_reason_of_their_path() -> None:
    forbidden = dict.fromkeys(
        [
            "io_uring",
            "io_uring+fixed",
            "io_uring+defer",
            "io_uring+sqpoll",
            "io_uring+iopoll",
            "io_uring+fixed+defer",
        ],
        "io_uring is forbidden by seccomp",
    )
    found = plan(forbidden, buffering=("direct",))
    assert [one.path for one in found.left_out] == ["io_uring"]
    assert labels(found) == ["posix", "libaio"]


def test_sqpoll_is_not_pinned_and_needs_a_spare_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    sqpoll = [step for step in plan().steps if step.variant.path == "io_uring+sqpoll"]
    assert {step.spec.workload.cpu for step in sqpoll} == {None}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    found = plan()
    assert "io_uring+sqpoll" not in labels(found)
    assert any("a CPU of its own" in one.reason for one in found.left_out)
    assert labels(plan(paths=["io_uring+sqpoll"])) == ["io_uring+sqpoll"]


def test_faces_of_the_api() -> None:
    assert labels(plan(paths=["io_uring"], apis=("native", "asyncio"))) == [
        "io_uring",
        "io_uring [asyncio]",
    ]


def test_memory_targets_have_their_own_path() -> None:
    request = CompareRequest("null:1GiB", Workload(), buffering=("direct",), fio=True)
    found = make_plan(request, mock_catalog())
    assert labels(found) == ["null", "fio null"]
    assert found.steps[0].group.title == "null:1GiB, 4k random reads, depth 1"


def test_patterns_and_block_sizes_make_families() -> None:
    found = plan(
        paths=["posix"],
        patterns=("read", "randread"),
        block_sizes=(4096, 65536),
        depths=(1,),
        buffering=("direct",),
        repetitions=1,
    )
    assert [step.group.family for step in found.steps] == [
        "O_DIRECT, 4k sequential reads",
        "O_DIRECT, 64k sequential reads",
        "O_DIRECT, 4k random reads",
        "O_DIRECT, 64k random reads",
    ]
    assert len({step.group.key for step in found.steps}) == 4


def test_batches_are_no_longer_than_the_depth() -> None:
    found = plan(paths=["posix"], workload=Workload(batch=16), depths=(1, 32))
    assert {step.spec.workload.batch for step in found.steps} == {1, 16}


def test_runtimes_that_fit_a_budget() -> None:
    found = plan(paths=["posix", "libaio"], repetitions=3)
    fitting = fitting_runtime(found, 60)
    assert 1.0 < fitting <= 3.0
    timed = with_runtime(found, fitting)
    assert timed.seconds == pytest.approx(60, abs=3)
    assert {step.spec.workload.runtime for step in timed.steps} == {fitting}
    assert fitting_runtime(found, 1) == 0.5
    assert fitting_runtime(Plan(found.request), 60) == 1.0


def test_labels() -> None:
    assert Variant("fio", "io_uring+fixed+defer").label == "fio io_uring+fixed"
    assert Variant("fio", "posix").label == "fio psync"


def test_the_cpu_to_pin_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_cpu(1) == 3
    assert default_cpu(4) == 0
    assert default_cpu(5) is None
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2})
    assert default_cpu(2) is None
