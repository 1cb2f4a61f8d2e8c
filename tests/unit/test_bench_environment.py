"""Facts about the machine, meters beside a run, the storage under a target."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ringway.bench import environment as env
from ringway.bench import meter
from ringway.bench.environment import Fact, check, collect, machine_kind
from ringway.bench.meter import DeviceMeter, HelperMeter
from ringway.storage import (
    BlockDevice,
    DeviceCounters,
    device_kind,
    device_under,
    mount_under,
)


def test_the_environment_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x")
    found = collect(str(file))
    assert {"kernel", "cpu", "cpus", "machine", "python", "numpy", "filesystem"} <= found.keys()
    assert found["machine"] in ("native", "virtual", "emulated")
    assert found["kernel"] == os.uname().release


def test_a_target_that_is_no_file_has_no_storage() -> None:
    found = collect("null:1GiB")
    assert "device" not in found
    assert "filesystem" not in found
    assert "kernel" in found


def raises(_: str) -> str:
    raise OSError("unreadable")


@pytest.mark.parametrize(
    "fact",
    [
        Fact("k", "K", str, lambda _: 3),
        Fact("k", "K", int, lambda _: True),
        Fact("k", "K", str, lambda _: ""),
        Fact("k", "K", int, lambda _: -1, lambda value: isinstance(value, int) and value > 0),
        Fact("k", "K", str, raises),
    ],
)
def test_facts_that_do_not_hold_are_left_out(fact: Fact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "FACTS", (fact,))
    assert collect("f") == {}


def test_a_false_fact_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "FACTS", (Fact("k", "K", bool, lambda _: False),))
    assert collect("f") == {"k": False}


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"cpus": 2, "load_average": 1.5}, "busy-machine"),
        ({"machine": "emulated"}, "emulated"),
        ({"governor": "powersave"}, "governor"),
    ],
)
def test_what_makes_figures_hard_to_trust(facts: env.Environment, code: str) -> None:
    (warning,) = check(facts)
    assert warning.code == code
    assert warning.advice


def test_a_good_machine_has_no_warnings() -> None:
    assert check({"cpus": 8, "load_average": 0.1, "machine": "native"}) == []


@pytest.mark.parametrize(
    ("cpuinfo", "product", "clocks", "kind"),
    [
        ("flags : fpu sse", "", "tsc hpet", "native"),
        ("flags : fpu hypervisor", "", "kvm-clock tsc", "virtual"),
        (
            "model name : QEMU Virtual CPU version 2.5+\nflags : fpu hypervisor",
            "",
            "kvm-clock",
            "virtual",
        ),
        ("model name : QEMU TCG CPU version 2.5+\nflags : fpu hypervisor", "", "tsc", "emulated"),
        (
            "model name : Haswell\nflags : fpu hypervisor",
            "Standard PC (Q35) QEMU",
            "tsc",
            "emulated",
        ),
    ],
)
def test_native_virtual_or_emulated(
    cpuinfo: str, product: str, clocks: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"cpuinfo": cpuinfo, "product_name": product, "available_clocksource": clocks}
    monkeypatch.setattr(env, "read_text", lambda path: files.get(path.name))
    machine_kind.cache_clear()
    try:
        assert machine_kind() == kind
    finally:
        machine_kind.cache_clear()


# ---------------------------------------------------------------- storage


def test_the_device_under_a_file_is_the_mounts(tmp_path: Path) -> None:
    device, mount = device_under(str(tmp_path)), mount_under(str(tmp_path))
    assert mount is not None
    if device is None:
        pytest.skip(f"{mount.kind} has no block device")
    assert device.attribute("logical_block_size") in ("512", "4096")
    assert device.counters() is not None


def test_nothing_under_what_does_not_exist() -> None:
    assert device_under("/nonexistent") is None
    assert mount_under("/nonexistent") is None


def test_counters_and_kinds(tmp_path: Path) -> None:
    device = BlockDevice("nvme0n1", tmp_path, tmp_path / "queue")
    assert device.counters() is None
    (tmp_path / "stat").write_text("10 1 80 5 3 0 24 2 0 1500 7 0 0 0 0 0 0\n")
    assert device.counters() == DeviceCounters(commands=13, moved=104 * 512, busy=1.5)
    assert device_kind(device) == "NVMe drive"
    assert device_kind(replace(device, name="weird")) == "block device"


# ---------------------------------------------------------------- meters


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(meter.time, "monotonic", lambda: now[0])
    return now


def test_device_rates_are_between_the_first_and_the_last_sample(
    tmp_path: Path, clock: list[float]
) -> None:
    found = DeviceMeter(BlockDevice("sda", tmp_path, tmp_path / "queue"))
    assert found.rate() is None
    for now, stat in (
        (0.0, "0 0 0 0 0 0 0 0 0 0 0"),
        (1.0, "9 0 9 0 0 0 0 0 0 9 0"),
        (2.0, "100 0 2000 0 0 0 0 0 0 1000 0"),
    ):
        clock[0] = now
        (tmp_path / "stat").write_text(stat)
        found.sample()
    rate = found.rate()
    assert rate is not None
    assert (rate.device, rate.commands, rate.bandwidth, rate.busy) == ("sda", 50, 512_000, 0.5)


def test_no_device_no_rate() -> None:
    assert DeviceMeter.under(__file__, "io_uring_cmd+fixed").device is None
    found = DeviceMeter.under("null:1GiB")
    found.sample()
    assert found.rate() is None


def test_helpers_that_come_and_go(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    samples = iter([{"1": 100}, {"1": 500_000_100, "2": 200_000_000}, {"1": 900_000_100}])
    monkeypatch.setattr(meter, "_helper_times", lambda _: next(samples))
    found = HelperMeter(1)
    assert found.share() == 0.0
    for now in (0.0, 1.0, 2.0):
        clock[0] = now
        found.sample()
    # 0.9 s of the first thread and the 0.2 s seen of the second, over 2 s.
    assert found.share() == pytest.approx(0.55)
