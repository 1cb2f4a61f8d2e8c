"""Kernel modules: where they lie, what they need first, and which a machine cannot do without."""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from .errors import UnavailableError
from .kernel import Kernel

#: What each machine needs, and for what.
BASE = {
    "virtio_pci": "the machine's ports",
    "virtio_console": "the machine's ports",
    "9pnet_virtio": "the host's files",
    "9p": "the host's files",
    "overlay": "a root that can be written to",
}

#: What a kernel needs for a machine with an IOMMU.
IOMMU = {"CONFIG_INTEL_IOMMU": "the IOMMU", "CONFIG_IRQ_REMAP": "VFIO with that IOMMU"}

#: A module's file, and how it is packed.
_KINDS = (".ko", ".ko.xz", ".ko.gz", ".ko.zst")


class Modules:
    """The modules of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._files = {
            _plain(file.name): file
            for file in kernel.modules.glob("kernel/**/*.ko*")
            if file.name.endswith(_KINDS)
        }
        self._builtin = _builtin(kernel.modules)
        config = kernel.config
        self._config = frozenset(config.read_text().splitlines()) if config else None

    def closure(self, names: Iterable[str]) -> list[tuple[str, bytes]]:
        """Name and content of these modules and what they need, in the order to load them.

        What is built into the kernel needs no loading. Raises UnavailableError for one that is
        neither there nor built in.
        """
        found: dict[str, bytes] = {}
        for name in names:
            self._add(name.replace("-", "_"), found)
        return list(found.items())

    def require(self, purposes: Mapping[str, str], options: Mapping[str, str]) -> None:
        """Raises UnavailableError that names all that is missing, and what for.

        purposes: modules. options: what the kernel is to be built with, as far as that is known.
        """
        missing = [
            f"{name} ({purpose})"
            for name, purpose in purposes.items()
            if name not in self._builtin and name not in self._files
        ]
        missing += [
            f"{name} ({purpose})"
            for name, purpose in options.items()
            if self._config is not None and f"{name}=y" not in self._config
        ]
        if missing:
            raise UnavailableError(
                f"the kernel {self._kernel.release} ({self._kernel.origin}) lacks "
                f"{', '.join(missing)}: give another with --kernel, or one with its modules"
            )

    def _add(self, name: str, found: dict[str, bytes]) -> None:
        if name in found or name in self._builtin:
            return
        if name not in self._files:
            raise UnavailableError(
                f"the kernel {self._kernel.release} ({self._kernel.origin}) has no module {name}"
            )
        content = _content(self._files[name])
        for needed in _needs(content):
            self._add(needed, found)
        found[name] = content


def _plain(name: str) -> str:
    return name.split(".", 1)[0].replace("-", "_")


def _builtin(folder: Path) -> frozenset[str]:
    """Those that are part of the kernel itself; kernel.org: Documentation/kbuild/kbuild.rst."""
    try:
        lines = (folder / "modules.builtin").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(_plain(Path(line).name) for line in lines)


def _needs(content: bytes) -> list[str]:
    """What a module says in its .modinfo that it cannot be loaded without; modinfo(8)."""
    text = b",".join(re.findall(rb"\0depends=([^\0]+)\0", content)).decode()
    return [word.replace("-", "_") for word in text.split(",") if word]


def _content(file: Path) -> bytes:
    data = file.read_bytes()
    if file.suffix == ".xz":
        return lzma.decompress(data)
    if file.suffix == ".gz":
        return gzip.decompress(data)
    if file.suffix == ".zst":
        return _unzstd(file)
    return data


def _unzstd(file: Path) -> bytes:
    tool = shutil.which("zstd")
    if tool is None:
        raise UnavailableError(f"{file.name} is packed with zstd, and there is no zstd here")
    return subprocess.run([tool, "-dcq", str(file)], stdout=subprocess.PIPE, check=True).stdout
