"""The archive a machine starts from: busybox, modules, two scripts, what to run.

Format: cpio "newc", Documentation/driver-api/early-userspace/buffer-format.rst. It is not packed:
an emulated machine would take longer to unpack it than to read it.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import UnavailableError

_SCRIPTS = Path(__file__).parent / "guest"
_FOLDERS = ("bin", "dev", "modules", "proc", "root", "sys")
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class Entry:
    """A file or, without content, a folder."""

    name: str
    content: bytes | None = None
    executable: bool = False

    @property
    def mode(self) -> int:
        if self.content is None:
            return 0o040755
        return 0o100755 if self.executable else 0o100644


def archive(entries: Iterable[Entry]) -> bytes:
    """A cpio archive of these, all owned by root, at the same time of day always."""
    parts = [_member(number, entry) for number, entry in enumerate(entries, start=1)]
    return b"".join([*parts, _member(0, Entry(_TRAILER, b""))])


def _member(number: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    content = entry.content or b""
    mode = 0 if entry.name == _TRAILER else entry.mode
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def find_busybox() -> Path:
    """A busybox that needs no shared library. Raises UnavailableError."""
    for name in ("busybox", "busybox-static", "busybox.static"):
        found = shutil.which(name, path="/bin:/usr/bin:/sbin:/usr/sbin:/usr/local/bin")
        if found and _is_static(Path(found)):
            return Path(found).resolve()
    raise UnavailableError(
        "no statically linked busybox, which starts the machine: apt-get install busybox-static"
    )


def _is_static(program: Path) -> bool:
    """Whether an ELF program names no interpreter; elf(5), PT_INTERP."""
    head = program.read_bytes()[:4096]
    return head[:4] == b"\x7fELF" and b"/ld-linux" not in head and b"/ld-musl" not in head


@dataclass(frozen=True)
class Errand:
    """What the guest does: see guest/init and guest/start."""

    #: Name, content and parameters of modules, in the order to load them.
    modules: Sequence[tuple[str, bytes, tuple[str, ...]]]
    #: The command and its arguments.
    command: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    #: Words for the scripts, as shell variables.
    settings: Mapping[str, str]


def initramfs(errand: Errand) -> bytes:
    """The whole archive. Raises UnavailableError where there is no busybox."""
    entries = [Entry(name) for name in _FOLDERS]
    entries.append(Entry("bin/busybox", find_busybox().read_bytes(), True))
    for script in ("init", "start"):
        entries.append(Entry(script, (_SCRIPTS / script).read_bytes(), True))
    entries.append(Entry("settings", os.fsencode(_settings(errand.settings))))
    entries.append(Entry("command", os.fsencode(_command(errand)), True))
    for name, content, _ in errand.modules:
        entries.append(Entry(f"modules/{name}.ko", content))
    order = [" ".join([name, *parameters]) + "\n" for name, _, parameters in errand.modules]
    entries.append(Entry("modules/order", "".join(order).encode()))
    return archive(entries)


def _settings(settings: Mapping[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())


def _command(errand: Errand) -> str:
    """A script that becomes the command, with just this environment."""
    variables = [f"{name}={value}" for name, value in errand.environment.items()]
    # Not for env to read: a command may be called a=b.
    become = ["/bin/sh", "-c", 'exec "$@"', "ringway"]
    words = shlex.join(["env", "-i", *variables, *become, *errand.command])
    return f"#!/bin/sh\ncd {shlex.quote(str(errand.directory))} || exit 126\nexec {words}\n"
