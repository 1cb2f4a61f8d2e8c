"""The doctor: what works on this machine, or why not and what to do about it.

`examine` asks every path of the registry whether it can serve the target, through the core's own
probe, then looks at what else decides how the paths do here (`ringway.checkup`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .checkup import MACHINE, Finding, examine_machine
from .machine import read_machine
from .paths import Catalog, PathInfo, PathSpec, native_catalog
from .storage import block_node
from .vm.checkup import examine_vm

__all__ = ["MACHINE", "Finding", "examine", "examine_paths"]

_SCRATCH_BYTES = 1 << 20


def examine(target: str | None) -> list[Finding]:
    """Every path and option for `target`, then the machine, then what emulated ones need.

    Without a target every path is tried: on a small file of its own in the current directory
    (or the temporary one where that cannot be written to), on the first NVMe namespace there is,
    in memory, over nothing.
    """
    catalog = native_catalog()
    with _scratch_file() as scratch:
        machine = read_machine(scratch if target is None else block_node(target))
        refusal = catalog.probe(PathSpec("io_uring"), scratch, False, False)
        return [
            *examine_paths(catalog, target, scratch),
            *examine_machine(machine, refusal),
            *(examine_vm() if target is None else ()),
        ]


@contextmanager
def _scratch_file() -> Iterator[str]:
    folder = "." if os.access(".", os.W_OK) else tempfile.gettempdir()
    with tempfile.NamedTemporaryFile(dir=folder, prefix="ringway-doctor-") as file:
        file.truncate(_SCRATCH_BYTES)
        yield os.path.abspath(file.name)


def examine_paths(catalog: Catalog, target: str | None, scratch: str) -> list[Finding]:
    """Findings for the paths that serve `target`, or for all over targets that always exist."""
    infos = list(catalog.paths) if target is None else catalog.serving(target)
    found: list[Finding] = []
    for info in infos:
        found += _examine_path(catalog, info, target or _some_target(info, scratch))
    return found


def _some_target(info: PathInfo, scratch: str) -> str:
    """What the path can be tried on, if this machine has such a thing."""
    if info.name == "io_uring_cmd":
        return next(map(str, sorted(Path("/dev").glob("ng*n*"))), scratch)
    return f"{info.scheme}:{_SCRATCH_BYTES}" if info.scheme else scratch


def _examine_path(catalog: Catalog, info: PathInfo, target: str) -> list[Finding]:
    """The path plain, direct and buffered where that makes a difference, then option by option."""
    plain = PathSpec(info.name)
    if info.scheme:
        modes = {True: _probe(catalog, plain, target, True, "", info.summary)}
    else:
        modes = {
            True: _probe(catalog, plain, target, True, "direct", info.summary),
            False: _probe(catalog, plain, target, False, "buffered", info.summary),
        }
    # An option is tried in the first mode that works, so that no cause is told twice.
    working = [direct for direct, finding in modes.items() if finding.usable]
    if not working:
        return _without_repetition(list(modes.values()))
    return list(modes.values()) + [
        _probe(catalog, PathSpec(info.name, (name,)), target, working[0], name, summary)
        for name, summary in info.options.items()
    ]


def _without_repetition(refused: list[Finding]) -> list[Finding]:
    """One finding for the whole path where every mode is refused for the same reason."""
    if len({finding.reason for finding in refused}) > 1:
        return refused
    return [Finding(refused[0].path, "", False, refused[0].reason)]


def _probe(
    catalog: Catalog, spec: PathSpec, target: str, direct: bool, label: str, summary: str
) -> Finding:
    refusal = catalog.probe(spec, target, direct, False)
    return Finding(spec.name, label, refusal is None, summary if refusal is None else refusal)
