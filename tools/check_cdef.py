"""Fails when the cffi declarations and the public header differ.

Both files are parsed and written out again in one form, constants evaluated, so that comments and
layout do not matter and everything else does. Run as ``check_cdef.py [HEADER CDEF]``.
"""

from __future__ import annotations

import difflib
import operator
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pycparser import c_ast, c_generator, c_parser

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "native/include/ringway.h"
CDEF = ROOT / "src/ringway/_native/ringway.cdef.h"

# Empty stand-ins keep the C library's own declarations, which pycparser cannot read, out of it.
SYSTEM_HEADERS = ["stdbool.h", "stddef.h", "stdint.h"]
TYPES = [f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)]
PRELUDE = "".join(f"typedef int {name};\n" for name in [*TYPES, "uintptr_t", "size_t", "bool"])

UNARY: dict[str, Callable[[int], int]] = {"-": operator.neg, "+": operator.pos, "~": operator.inv}
BINARY: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "<<": operator.lshift,
    "|": operator.or_,
}


class Writer(c_generator.CGenerator):  # type: ignore[misc]  # pycparser has no type hints
    """Writes declarations as C, every enumerator with its value."""

    def __init__(self) -> None:
        super().__init__()
        self.constants: dict[str, int] = {}
        self.following = 0

    def visit_Enum(self, node: c_ast.Enum) -> str:
        self.following = 0
        return str(super().visit_Enum(node))

    def visit_Enumerator(self, node: c_ast.Enumerator) -> str:
        value = self.following if node.value is None else self.value(node.value)
        self.constants[node.name] = value
        self.following = value + 1
        return f"{self._make_indent()}{node.name} = {value},\n"

    def value(self, node: c_ast.Node) -> int:
        if isinstance(node, c_ast.Constant):
            return int(node.value.rstrip("uUlL"), 0)
        if isinstance(node, c_ast.ID):
            return self.constants[node.name]
        if isinstance(node, c_ast.UnaryOp):
            return UNARY[node.op](self.value(node.expr))
        if isinstance(node, c_ast.BinaryOp):
            return BINARY[node.op](self.value(node.left), self.value(node.right))
        raise ValueError(f"{node.coord}: write this constant more simply")


def preprocessed(path: Path) -> str:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    with tempfile.TemporaryDirectory() as folder:
        for name in SYSTEM_HEADERS:
            Path(folder, name).touch()
        options = ["-E", "-P", "-nostdinc", "-I", folder, "-D__attribute__(x)=", "-x", "c"]
        command = [*compiler, *options, str(path)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def declarations(path: Path) -> list[str]:
    """Every declaration of a header as lines of C, then its numeric macros."""
    known = len(c_parser.CParser().parse(PRELUDE).ext)
    writer = Writer()
    lines: list[str] = []
    for node in c_parser.CParser().parse(PRELUDE + preprocessed(path), str(path)).ext[known:]:
        lines += f"{writer.visit(node)};".splitlines()
    macros = re.findall(r"^#define[ \t]+(\w+)[ \t]+([^\s/]+)", path.read_text(), re.MULTILINE)
    return lines + [f"#define {name} {value}" for name, value in macros]


def main(header: Path = HEADER, cdef: Path = CDEF) -> int:
    difference = list(
        difflib.unified_diff(
            declarations(header), declarations(cdef), str(header), str(cdef), lineterm="", n=4
        )
    )
    if difference:
        print("The cffi declarations differ from the public header:", *difference, sep="\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
