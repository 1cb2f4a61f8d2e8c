"""Nothing that is written is left out of the build or of the package."""

from __future__ import annotations

from pathlib import Path

import pytest

import ringway

ROOT = Path(__file__).resolve().parents[2]
MESON_BUILD = (ROOT / "meson.build").read_text()
PACKAGE = Path(ringway.__file__).parent
ONLY_FOR_THE_BUILD = {"_native/build.py", "_native/calls.c", "_native/ringway.cdef.h"}


def files(folder: Path, pattern: str) -> list[str]:
    found = (path for path in folder.rglob(pattern) if path.is_file())
    return sorted(str(p.relative_to(folder)) for p in found if "__pycache__" not in p.parts)


def entry(name: str) -> str:
    """What meson.build calls a C file: unit tests are named without the suffix."""
    if not name.startswith("tests/"):
        return f"native/{name}"
    name = name.removeprefix("tests/")
    return name.removesuffix(".c") if "/test_" in name else name


@pytest.mark.parametrize("name", files(ROOT / "native", "*.c"))
def test_every_c_file_is_built(name: str) -> None:
    assert f"'{entry(name)}'" in MESON_BUILD


@pytest.mark.parametrize(
    ("source", "installed"), [("src/ringway", PACKAGE), ("configs", PACKAGE / "configs")]
)
def test_every_file_is_installed_as_it_is_written(source: str, installed: Path) -> None:
    for name in set(files(ROOT / source, "*")) - ONLY_FOR_THE_BUILD:
        assert (installed / name).read_bytes() == (ROOT / source / name).read_bytes(), (
            f"{name} is not what was installed: run `make build`"
        )
