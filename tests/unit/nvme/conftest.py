"""A machine made of files: sysfs, procfs and /dev below a folder, and a kernel that binds in it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ringway.errors import error_of
from ringway.nvme.host import Host
from ringway.nvme.lending import Lender
from ringway.nvme.steps import Step

#: A controller with a driver, alone in its group.
PLAIN = "0000:01:00.0"


@dataclass
class Tree:
    """Builds what the kernel would show."""

    root: Path
    #: Block devices that somebody has claimed, VFIO groups that are open unseen.
    claimed: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    #: What the kernel answers to the step that writes to a file of this name.
    failing: dict[str, int] = field(default_factory=dict)
    loadable: set[str] = field(default_factory=lambda: {"vfio-pci", "nvme"})
    written: list[tuple[str, str]] = field(default_factory=list)
    drives: dict[str, tuple[str, list[str]]] = field(default_factory=dict)

    def write(self, path: str, text: str = "") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def link(self, path: str, target: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    def driver(self, name: str) -> None:
        (self.root / "sys/bus/pci/drivers" / name).mkdir(parents=True, exist_ok=True)

    def device(
        self, pci: str, class_code: str, driver: str | None = None, group: str | None = None
    ) -> str:
        """A PCI device; its folder below the root."""
        folder = f"sys/bus/pci/devices/{pci}"
        self.write(f"{folder}/class", f"{class_code}\n")
        self.write(f"{folder}/driver_override", "(null)\n")
        self.write(f"{folder}/numa_node", "-1\n")
        if driver:
            self.driver(driver)
            self.link(f"{folder}/driver", f"../../drivers/{driver}")
        if group:
            self.link(f"{folder}/iommu_group", f"../../../../kernel/iommu_groups/{group}")
            self.link(f"sys/kernel/iommu_groups/{group}/devices/{pci}", f"/{folder}")
            self.write(f"sys/kernel/iommu_groups/{group}/type", "DMA\n")
        return folder

    def controller(
        self,
        pci: str = PLAIN,
        name: str = "nvme0",
        *,
        driver: str | None = "nvme",
        group: str | None = "7",
        blocks: tuple[str, ...] = ("nvme0n1",),
    ) -> str:
        folder = self.device(pci, "0x010802", driver, group)
        self.drives[pci] = (name, list(blocks))
        if driver == "nvme":
            self.appear(pci)
        return folder

    def appear(self, pci: str) -> None:
        """What the NVMe driver adds."""
        name, blocks = self.drives[pci]
        own = f"sys/bus/pci/devices/{pci}/nvme/{name}"
        for fact, value in (("model", "Fast Drive  "), ("serial", "S1"), ("state", "live")):
            self.write(f"{own}/{fact}", f"{value}\n")
        for number, block in enumerate(blocks):
            self.write(f"{own}/{block}/nsid", f"{number + 1}\n")
            self.write(f"{own}/{block.replace('nvme', 'ng')}/dev", "245:0\n")
            self.block(block, f"259:{number}", size=2048)
            self.write(f"sys/class/block/{block}/nsid", f"{number + 1}\n")

    def block(self, name: str, number: str, *, size: int = 0, part_of: str = "") -> None:
        folder = f"sys/class/block/{name}"
        self.write(f"{folder}/dev", f"{number}\n")
        self.write(f"{folder}/size", f"{size}\n")
        self.write(f"{folder}/queue/logical_block_size", "512\n")
        self.write(f"dev/{name}")
        if part_of:
            self.write(f"sys/class/block/{part_of}/{name}/partition", "1\n")

    def vanish(self, pci: str) -> None:
        blocks = self.drives[pci][1]
        shutil.rmtree(self.root / f"sys/bus/pci/devices/{pci}/nvme")
        for block in blocks:
            shutil.rmtree(self.root / f"sys/class/block/{block}")
            (self.root / "dev" / block).unlink()

    def mountinfo(self, *lines: str) -> None:
        self.write("proc/self/mountinfo", "".join(f"{line}\n" for line in lines))

    def process(self, pid: int, *open_files: str, start: int = 5, name: str = "fio") -> None:
        """A process with descriptors."""
        self.write(f"proc/{pid}/comm", f"{name}\n")
        self.write(f"proc/{pid}/stat", f"{pid} (a) b) S {' 0' * 18} {start} 0\n")
        for number, file in enumerate(open_files):
            self.link(f"proc/{pid}/fd/{number}", file)

    def mapping(self, pid: int, path: str, node: str | None = None) -> None:
        """A process maps a node, whose descriptor it has closed; `node`: what the path was."""
        self.process(pid)
        self.write(
            f"proc/{pid}/maps",
            "00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/fio\n"
            "7ffc0a000000-7ffc0a021000 rw-p 00000000 00:00 0          [stack]\n"
            f"00e03000-00e24000 rw-s 00000000 00:05 42         {path}\n",
        )
        if node:
            self.link(f"proc/{pid}/map_files/e03000-e24000", node)

    # ------------------------------------------------------------ the kernel

    def obey(self, step: Step) -> None:
        """What a write does."""
        kind = step.file.name
        self.written.append((kind, step.text.strip()))
        if code := self.failing.get(kind):
            raise error_of(-code, f"could not {step.purpose}")
        if kind == "driver_override":
            step.file.write_text(step.text.strip() or "(null)")
        elif kind == "unbind":
            self._unbind(step.text, step.file.parent.name)
        elif kind == "bind":
            self._bind(step.text, step.file.parent.name)
        else:
            step.file.write_text({"1": "Y", "0": "N"}[step.text])

    def _unbind(self, pci: str, driver: str) -> None:
        (self.root / f"sys/bus/pci/devices/{pci}/driver").unlink()
        if driver == "nvme":
            self.vanish(pci)
        else:
            shutil.rmtree(self.root / "dev/vfio", ignore_errors=True)

    def _bind(self, pci: str, driver: str) -> None:
        folder = f"sys/bus/pci/devices/{pci}"
        self.link(f"{folder}/driver", f"../../drivers/{driver}")
        if driver == "nvme":
            self.appear(pci)
        elif driver == "uio_pci_generic":
            self.write(f"{folder}/uio/uio0/name", "x")
            self.write("dev/uio0")
        else:
            self._group_node(folder)

    def _group_node(self, folder: str) -> None:
        group = self.root / folder / "iommu_group"
        if not group.is_symlink():
            self.link(f"{folder}/iommu_group", "../../../../kernel/iommu_groups/0")
            self.write("sys/kernel/iommu_groups/0/name", "vfio-noiommu\n")
            self.write("dev/vfio/noiommu-0")
        else:
            self.write(f"dev/vfio/{group.readlink().name}")


@dataclass(frozen=True)
class FakeHost(Host):
    """A host whose kernel is a tree."""

    tree: Tree = field(default_factory=lambda: Tree(Path()))

    def carry_out(self, steps: list[Step], timeout: float, hold: int) -> None:
        for step in steps:
            self.tree.obey(step)

    def load(self, driver: str) -> str:
        if driver not in self.tree.loadable:
            return f"modprobe {driver}: not found"
        self.tree.driver(driver)
        return ""

    def claim(self, name: str) -> int:
        if name in self.tree.claimed:
            raise OSError(errno.EBUSY, "busy")
        return os.open(self.node(name), os.O_RDONLY)

    def openable(self, node: Path) -> bool:
        return node.name not in self.tree.hidden

    def settle(self) -> None:
        pass


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A machine with no devices, in which the caller is a process."""
    tree = Tree(tmp_path / "machine")
    tree.write("proc/sys/kernel/random/boot_id", "this-boot\n")
    tree.link("proc/self/ns/pid", "pid:[1]")
    tree.mountinfo("1 0 8:1 / / rw - ext4 /dev/sda1 rw")
    tree.process(os.getpid(), name="pytest")
    return tree


@pytest.fixture
def host(tree: Tree) -> FakeHost:
    return FakeHost(tree.root / "sys", tree.root / "proc", tree.root / "dev", tree)


@pytest.fixture
def new_lender(host: FakeHost, tmp_path: Path) -> Callable[[], Lender]:
    """Lenders with one journal, as different processes would have them."""
    return lambda: Lender(host, tmp_path / "journal", timeout=0.3)


@pytest.fixture
def lender(new_lender: Callable[[], Lender]) -> Lender:
    return new_lender()
