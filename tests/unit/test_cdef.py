"""The cffi declarations mirror the public header, and the check that says so can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "native/include/ringway.h"
CDEF = ROOT / "src/ringway/_native/ringway.cdef.h"


def check(header: Path, cdef: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools/check_cdef.py"), str(header), str(cdef)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_declarations_mirror_the_header() -> None:
    result = check(HEADER, CDEF)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("uint32_t bit;", "uint64_t bit;", "+  uint64_t bit;"),
        ("\tuint64_t huge_bytes;\n", "", "-  uint64_t huge_bytes;"),
        ("RW_FLUSH = 2", "RW_FLUSH = 7", "+  RW_FLUSH = 7,"),
        ("void rw_buffer_hold(struct rw_buffer *buffer);\n", "", "-void rw_buffer_hold("),
        ("rw_detail(void);", "rw_detail(int code);", "+const char *rw_detail(int code);"),
        ("/* errors */", "#define RW_LIMIT 5", "+#define RW_LIMIT 5"),
    ],
)
def test_a_difference_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = CDEF.read_text()
    assert old in text
    changed = tmp_path / "changed.cdef.h"
    changed.write_text(text.replace(old, new, 1))
    result = check(HEADER, changed)
    assert result.returncode == 1
    assert told in result.stdout


def test_layout_and_implied_values_do_not_matter(tmp_path: Path) -> None:
    changed = tmp_path / "changed.cdef.h"
    changed.write_text(CDEF.read_text().replace("RW_WRITE = 1", "RW_WRITE").replace("\n\n", "\n"))
    assert check(HEADER, changed).returncode == 0
