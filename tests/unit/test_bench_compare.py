"""Comparisons over the mock: what is recorded, related and dropped."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ringway.bench.compare import replace_target, run_plan
from ringway.bench.executor import RunSpec
from ringway.bench.mock import Bystander, MockExecutor, mock_catalog
from ringway.bench.plan import CompareRequest, Plan, make_plan
from ringway.bench.record import (
    BENCH_SCHEMA,
    COMPARE_SCHEMA,
    BenchDocument,
    Comparison,
    Measurement,
    from_json,
    json_schema,
    to_json,
)
from ringway.bench.report.csv import to_csv
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


def cell(comparison: Comparison, label: str, depth: int = 32) -> Any:
    return next(
        one for one in comparison.cells if one.label == label and one.workload.depth == depth
    )


# ---------------------------------------------------------------- records


def test_every_run_is_kept_in_order() -> None:
    found = compared()
    assert [one.sequence for one in found.runs] == list(range(1, len(found.runs) + 1))
    assert len(found.runs) == (4 + 3) * 2 * 3
    assert cell(found, "posix").iops.n == 3


def test_documents_survive_json() -> None:
    found = compared()
    text = to_json(found)
    assert from_json(text) == found
    assert msgspec.json.decode(text)["schema"] == COMPARE_SCHEMA


def bench_document() -> BenchDocument:
    measured = MockExecutor().run(RunSpec("f", "posix", Workload()), lambda _: True)
    fields = {name: getattr(measured, name) for name in Measurement.__struct_fields__}
    return BenchDocument(**fields, environment={"kernel": "6.1", "cpus": 2})


def test_a_bench_document_has_the_fields_of_the_design() -> None:
    tree = msgspec.json.decode(to_json(bench_document()))
    assert next(iter(tree)) == "schema"
    assert tree["schema"] == BENCH_SCHEMA
    assert {
        "target",
        "path",
        "workload",
        "iops",
        "bandwidth",
        "latency_ns",
        "cpu_ns_per_io",
        "counters",
        "seconds",
        "environment",
    } <= tree.keys()
    assert list(tree["latency_ns"]) == [
        "min",
        "mean",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "p99.99",
        "max",
    ]
    assert list(tree["cpu_ns_per_io"]) == ["user", "system", "helpers"]
    assert {"syscalls", "doorbells", "copies", "punts"} <= tree["counters"].keys()


def test_documents_of_other_versions_are_refused() -> None:
    text = to_json(bench_document()).replace(b"bench/1", b"bench/9")
    with pytest.raises(msgspec.ValidationError, match=r"ringway.bench/9"):
        from_json(text)


def test_the_published_schema_accepts_what_is_written() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for kind, document in (("bench", bench_document()), ("compare", compared())):
        schema = json_schema(kind)
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(msgspec.json.decode(to_json(document)), schema)


def test_the_schema_names_the_version() -> None:
    properties = json_schema("bench")["$defs"]["BenchDocument"]["properties"]
    assert properties["schema"] == {"enum": [BENCH_SCHEMA]}


def test_csv_has_a_line_for_every_run() -> None:
    found = compared()
    lines = to_csv(found).splitlines()
    assert len(lines) == 1 + len(found.runs)
    assert lines[0].startswith("sequence,round,group,label,tool,path")
    assert lines[1].startswith("1,1,randread-4k-direct-1,posix,ringway,posix,native,randread,4096")


def test_another_name_for_the_target() -> None:
    found = replace_target(compared(), "a file")
    assert {found.target, *(one.target for one in found.runs)} == {"a file"}


# ---------------------------------------------------------------- ratios


def test_ratios_to_posix_and_fio() -> None:
    found = compared()
    ring = cell(found, "io_uring+defer")
    assert ring.vs_baseline.to == "posix"
    assert ring.vs_baseline.median == 32.0
    assert ring.vs_fio.to == "fio io_uring"
    assert ring.vs_fio.differences == []
    assert cell(found, "posix").vs_baseline is None
    assert cell(found, "fio psync").vs_fio is None


def test_a_ratio_between_unlike_settings_is_marked() -> None:
    plain = cell(compared(), "io_uring")
    assert "defers task work" in plain.vs_fio.differences[0]


def test_pinning_is_part_of_the_settings() -> None:
    found = compared(
        make(paths=["posix", "io_uring+sqpoll"], workload=Workload(runtime=1.0, cpu=0))
    )
    assert cell(found, "io_uring+sqpoll").vs_baseline.differences == [
        "pinned to no CPU against CPU 0"
    ]


# ---------------------------------------------------------------- failures


def test_a_path_that_fails_is_dropped_and_the_others_go_on() -> None:
    found = compared(fail={"libaio": "the device said no"})
    assert "libaio" not in {one.label for one in found.cells}
    failed = [one for one in found.left_out if one.path == "libaio"]
    assert {one.reason for one in failed} == {"failed: the device said no"}
    assert cell(found, "io_uring").iops.n == 3


def test_ctrl_c_keeps_what_was_measured() -> None:
    found = compared(stop_after=9)
    assert found.interrupted
    assert len(found.runs) == 9
    assert found.verdicts


def test_ctrl_c_before_anything() -> None:
    def pressed(_: RunSpec) -> float:
        raise KeyboardInterrupt

    found = compared(model=pressed)
    assert found.interrupted
    assert (found.runs, found.verdicts, found.summary) == ([], [], [])
