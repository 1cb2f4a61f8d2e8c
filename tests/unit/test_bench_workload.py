"""Workloads: their contradictions, their files, the errors that name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringway.bench.configs import ConfigError, load_workload, workload_from, workload_names
from ringway.bench.workload import Workload, describe


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bs": 0}, "bs"),
        ({"depth": 0}, "depth"),
        ({"threads": 65}, "threads"),
        ({"runtime": -1}, "runtime"),
        ({"runtime": 0}, "never ends"),
        ({"offset": -1}, "offset: -1 is negative"),
        ({"span": 512}, "span"),
        ({"zipf": 1.0}, "zipf"),
        ({"zipf": 0.9, "rw": "read"}, "needs random offsets"),
        ({"mix": 101}, "mix"),
        ({"batch": 33}, "batch"),
        ({"cpu": -1}, "cpu"),
    ],
)
def test_contradictions_are_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Workload(**fields)  # type: ignore[arg-type]


def test_share_of_reads() -> None:
    assert Workload(rw="randread").read_percent == 100
    assert Workload(rw="write").read_percent == 0
    assert Workload(rw="randrw", mix=70).read_percent == 70


def test_in_words() -> None:
    work = Workload(rw="randrw", bs=8192, depth=16, threads=2, mix=70, zipf=0.9, runtime=3)
    assert describe(work) == (
        "8 KiB random reads and writes, O_DIRECT, depth 16, 2 threads, 70 % reads, zipf 0.9, 3 s"
    )


def test_every_shipped_workload_loads() -> None:
    names = workload_names()
    assert {"randread", "bulk", "mixed"} <= set(names)
    for name in names:
        file = load_workload(name)
        assert file.description
        assert file.given


def write(folder: Path, text: str) -> str:
    file = folder / "work.toml"
    file.write_text(text)
    return str(file)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = load_workload(
        write(
            tmp_path,
            """
        description = "mine"
        [workload]
        rw = "read"
        bs = "64KiB"
        runtime = "500ms"
        buffered = true
        [compare]
        depths = [1, 8]
        buffering = ["cached"]
    """,
        )
    )
    assert file.name == "work"
    assert (file.workload.bs, file.workload.runtime, file.workload.direct) == (65536, 0.5, False)
    assert file.given == {"rw", "bs", "runtime", "direct"}
    assert file.compare.depths == (1, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[workload]\ndpeth = 3", r"workload\.dpeth: unknown key; did you mean depth\?"),
        ("[workload]\niodepth = 3", r"workload\.iodepth: unknown key; here it is called depth"),
        ("[workload]\nsize = '1g'", "span .the range. or total"),
        ("[workload]\ndepth = 'deep'", r"workload\.depth: Expected int, got str"),
        ("[workload]\nbs = '4x'", r"workload\.bs: '4x' is not a size"),
        ("[workload]\nruntime = 'long'", r"workload\.runtime: 'long' is not a time"),
        ("[workload]\nrw = 'randreed'", "did you mean randread"),
        ("[workload]\ndirect = true\nbuffered = true", "says the same as direct"),
        ("[workload]\ndepth = 0", "depth: 0 is outside"),
        ("[compare]\ndepth = [1]", r"compare\.depth: unknown key; did you mean depths\?"),
        ("[compare]\nbuffering = ['drect']", "did you mean direct"),
        ("[compare]\ndepths = ['x']", r"compare\.depths\[0\]: Expected int"),
        ("[workloads]\n", "did you mean workload"),
        ("workload = 3", "a table"),
        ("description = 3", "text is expected"),
        ("= 3", "not TOML"),
    ],
)
def test_errors_name_the_key_and_the_remedy(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_workload(write(tmp_path, text))
    assert "work.toml" in str(caught.value)


def test_unknown_names_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean randread"):
        load_workload("randred")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_workload(str(tmp_path / "none.toml"))


def test_plain_keys_and_values() -> None:
    assert workload_from({"bs": "1m", "depth": 4}).bs == 1 << 20
