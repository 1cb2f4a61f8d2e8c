"""Namespaces of an emulated machine, and how their character devices can be opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Namespace:
    """A namespace of this machine, as sysfs shows it."""

    char: str
    block: str
    nsid: int
    block_size: int

    @property
    def controller(self) -> str:
        """The controller's node: /dev/nvme0 of /dev/ng0n1."""
        number = Path(self.char).name.removeprefix("ng").partition("n")[0]
        return f"/dev/nvme{number}"

    def fact(self, name: str) -> str:
        return Path("/sys/class/block", Path(self.block).name, name).read_text().strip()


def namespaces() -> list[Namespace]:
    found = []
    for node in sorted(Path("/sys/class/nvme-generic").iterdir()):
        block = Path("/sys/class/block", node.name.replace("ng", "nvme"))
        found.append(
            Namespace(
                char=f"/dev/{node.name}",
                block=f"/dev/{block.name}",
                nsid=int((block / "nsid").read_text()),
                block_size=int((block / "queue/logical_block_size").read_text()),
            )
        )
    return found


@pytest.fixture(name="namespaces")
def _namespaces() -> list[Namespace]:
    return namespaces()


@pytest.fixture(params=[512, 4096])
def drive(request):
    """A drive with that block size."""
    return next(ns for ns in namespaces() if ns.block_size == request.param)


@pytest.fixture
def small():
    """The drive with blocks of 512 bytes."""
    return next(ns for ns in namespaces() if ns.block_size == 512)


@pytest.fixture
def numbered():
    """Finds a namespace by its id."""
    return lambda nsid: next(ns for ns in namespaces() if ns.nsid == nsid)
