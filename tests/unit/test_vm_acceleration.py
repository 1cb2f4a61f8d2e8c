"""KVM or emulation, decided by programs that stand in for QEMU."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ringway.vm import acceleration
from ringway.vm.acceleration import choose_acceleration
from ringway.vm.kernel import Kernel
from ringway.vm.qemu import Qemu

Emulator = Callable[[str], Qemu]


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path / "vmlinuz", "6.1", tmp_path, "given")


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """A QEMU that is a shell script; each call of it adds a line to the file `calls`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    device, busybox = tmp_path / "kvm", tmp_path / "busybox"
    device.touch()
    busybox.touch()
    monkeypatch.setattr(acceleration, "_DEVICE", device)
    monkeypatch.setattr(acceleration, "find_busybox", lambda: busybox)
    monkeypatch.setattr(acceleration, "_PATIENCE", 1.0)

    def make(script: str, accelerators: tuple[str, ...] = ("kvm", "tcg")) -> Qemu:
        file = tmp_path / "qemu"
        file.write_text(f"#!/bin/sh\necho x >>{tmp_path}/calls\n{script}\n")
        file.chmod(0o755)
        return Qemu(file, (7, 2, 0), {}, accelerators)

    return make


def calls(tmp_path: Path) -> int:
    return len((tmp_path / "calls").read_text().splitlines())


def test_a_guest_that_says_the_word_decides_for_kvm(emulator: Emulator, kernel: Kernel) -> None:
    found = choose_acceleration("auto", emulator("echo 'ringway: alive'"), kernel)
    assert (found.name, found.emulated) == ("kvm", False)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'KVM internal error. Suberror: 1' >&2; exec sleep 9", "KVM internal error"),
        ("exec sleep 9", "it stays silent"),
        ("echo 'failed to set MSR' >&2; exit 134", "failed to set MSR"),
        ("exit 3", "exit 3"),
    ],
)
def test_a_guest_that_does_not_decides_for_emulation(
    emulator: Emulator, kernel: Kernel, script: str, reason: str
) -> None:
    found = choose_acceleration("auto", emulator(script), kernel)
    assert found.emulated
    assert reason in found.why


def test_the_verdict_is_kept_until_something_changes(
    emulator: Emulator, kernel: Kernel, tmp_path: Path
) -> None:
    qemu = emulator("exit 3")
    assert choose_acceleration("auto", qemu, kernel) == choose_acceleration("auto", qemu, kernel)
    assert calls(tmp_path) == 1
    newer = Qemu(qemu.binary, (8, 0, 0), {}, qemu.accelerators)
    choose_acceleration("auto", newer, kernel)
    assert calls(tmp_path) == 2


def test_a_damaged_verdict_is_found_out_again(
    emulator: Emulator, kernel: Kernel, tmp_path: Path
) -> None:
    qemu = emulator("exit 3")
    choose_acceleration("auto", qemu, kernel)
    (tmp_path / "cache/ringway/kvm-verdict.json").write_text("{")
    assert choose_acceleration("auto", qemu, kernel).emulated
    assert calls(tmp_path) == 2


def test_what_is_asked_for_by_name_is_not_tried(emulator: Emulator, kernel: Kernel) -> None:
    assert choose_acceleration("kvm", emulator("exit 3"), kernel).name == "kvm"
    assert choose_acceleration("tcg", emulator("exit 3"), kernel).name == "tcg"


def test_reasons_that_need_no_guest(
    emulator: Emulator, kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def why() -> str:
        return choose_acceleration("auto", qemu, kernel).why

    qemu = emulator("echo 'ringway: alive'")
    assert (
        "was built without KVM"
        in choose_acceleration("auto", Qemu(qemu.binary, qemu.version, {}, ("tcg",)), kernel).why
    )
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "join the group kvm" in why()
    monkeypatch.setattr(acceleration, "_DEVICE", tmp_path / "nothing")
    assert "there is no" in why()
