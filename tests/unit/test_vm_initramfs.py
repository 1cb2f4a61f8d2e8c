"""The archive a machine starts from, as cpio itself reads it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ringway.vm import initramfs as module
from ringway.vm.errors import UnavailableError
from ringway.vm.initramfs import Entry, Errand, archive, find_busybox, initramfs


def unpack(data: bytes, folder: Path) -> Path:
    command = ["cpio", "-idm", "--quiet"] if shutil.which("cpio") else ["busybox", "cpio", "-id"]
    if shutil.which(command[0]) is None:
        pytest.skip("neither cpio nor busybox is installed")
    subprocess.run(command, input=data, cwd=folder, check=True, capture_output=True)
    return folder


def test_files_and_folders_come_out_as_they_went_in(tmp_path: Path) -> None:
    entries = [Entry("a"), Entry("a/b", b"1234567", True), Entry("c", b"")]
    root = unpack(archive(entries), tmp_path)
    assert (root / "a/b").read_bytes() == b"1234567"
    assert os.access(root / "a/b", os.X_OK)
    assert (root / "c").read_bytes() == b""
    assert not os.access(root / "c", os.X_OK)


def test_the_same_files_make_the_same_archive() -> None:
    assert archive([Entry("a", b"1")]) == archive([Entry("a", b"1")])
    assert len(archive([Entry("a", b"1")])) % 4 == 0


@pytest.fixture
def errand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Errand:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"\x7fELF static")
    monkeypatch.setattr(module, "find_busybox", lambda: busybox)
    return Errand(
        modules=[("one", b"first", ()), ("two", b"second", ("a=1", "b=2"))],
        command=["echo", "it's", "$HOME"],
        directory=Path("/a folder"),
        environment={"PATH": "/bin", "WORDS": 'a "b" c\nd'},
        settings={"MODULES": "/lib/x y", "RESULTS": "r0 /a\nr1 /b"},
    )


def test_modules_are_listed_in_order_with_their_parameters(errand: Errand, tmp_path: Path) -> None:
    root = unpack(initramfs(errand), tmp_path)
    assert (root / "modules/order").read_text() == "one\ntwo a=1 b=2\n"
    assert (root / "modules/two.ko").read_bytes() == b"second"
    assert os.access(root / "init", os.X_OK)


def test_settings_survive_the_shell(errand: Errand, tmp_path: Path) -> None:
    root = unpack(initramfs(errand), tmp_path)
    script = f'. {root}/settings; printf %s "$MODULES|$RESULTS"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "/lib/x y|r0 /a\nr1 /b"


def test_the_command_gets_its_words_folder_and_environment(errand: Errand, tmp_path: Path) -> None:
    folder = tmp_path / "it's here"
    folder.mkdir()
    words = ["sh", "-c", 'printf "%s|" "$PWD" "$WORDS" "${HOME-unset}" "$@"', "sh", "a b", "$c", ""]
    errand = Errand(
        modules=[],
        command=words,
        directory=folder,
        environment=errand.environment,
        settings={},
    )
    script = tmp_path / "command"
    script.write_text(module._command(errand))
    done = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == f'{folder}|a "b" c\nd|unset|a b|$c||'


def test_a_folder_that_is_gone_is_status_126(errand: Errand, tmp_path: Path) -> None:
    script = tmp_path / "command"
    script.write_text(module._command(errand))
    assert subprocess.run(["sh", str(script)], capture_output=True).returncode == 126


def test_a_busybox_that_needs_libraries_will_not_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dynamic, static = tmp_path / "busybox", tmp_path / "busybox-static"
    dynamic.write_bytes(b"\x7fELF /lib64/ld-linux-x86-64.so.2")
    monkeypatch.setattr(
        module.shutil, "which", lambda name, path: {"busybox": str(dynamic)}.get(name)
    )
    with pytest.raises(UnavailableError, match="apt-get install busybox-static"):
        find_busybox()
    static.write_bytes(b"\x7fELF")
    found = {"busybox": str(dynamic), "busybox-static": str(static)}
    monkeypatch.setattr(module.shutil, "which", lambda name, path: found.get(name))
    assert find_busybox() == static
