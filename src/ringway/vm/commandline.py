"""QEMU's command line: a topology, and around it what a machine needs to boot and to be talked to.

Slots of pcie.0: 02 ports, 03 random numbers, 04 to 07 and 18 to 1e shares, 08 to 17 root ports.
So nothing depends on how much of anything there is, and PCI addresses are known before the boot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .controllers import nvme_arguments
from .drives import keyval
from .qemu import Qemu
from .record import MIB
from .topology import Machine, Topology

_PORTS_SLOT = 0x02
_RANDOM_SLOT = 0x03
_SHARE_SLOTS = (*range(0x04, 0x08), *range(0x18, 0x1F))
MOST_SHARES = len(_SHARE_SLOTS)


@dataclass(frozen=True)
class Boot:
    """What the machine starts: kernel, initial root, words on the kernel's command line."""

    kernel: Path
    initrd: Path
    words: Sequence[str] = ()


@dataclass(frozen=True)
class Share:
    """A folder of the host's that the guest can mount over 9p, by its tag."""

    tag: str
    path: Path
    read_only: bool = True


@dataclass(frozen=True)
class Port:
    """A port of virtio-serial, /dev/virtio-ports/`name` in the guest.

    chardev: what it is on the host, as ``socket,fd=5`` (see `backend`).
    """

    name: str
    chardev: str


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything about a machine that is not in its topology."""

    #: "kvm" or "tcg".
    accelerator: str
    #: Emulate one CPU whose clock advances by 1 ns with every instruction.
    count_instructions: bool = False
    boot: Boot
    shares: Sequence[Share] = ()
    ports: Sequence[Port] = ()
    #: The guest's first serial line, and QMP, as Port.chardev; None: not there.
    console: str | None = None
    monitor: str | None = None
    #: Names of the files made for drives.storage(), as QEMU is to open them.
    files: Mapping[str, str] = field(default_factory=dict)


def backend(kind: str, **options: str | int | bool) -> str:
    """A character device's kind and options, for Port, Setup.console and Setup.monitor."""
    return keyval(kind, options)


def arguments(topology: Topology, qemu: Qemu, setup: Setup) -> list[str]:
    """QEMU's arguments, without its name. Raises TopologyError for what this QEMU cannot give."""
    return [
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *machine_arguments(topology.machine, qemu, setup),
        *boot_arguments(topology.machine, setup.boot),
        *_line("console", setup.console, "-serial", "chardev:console"),
        *_line("monitor", setup.monitor, "-mon", "chardev=monitor,mode=control"),
        *port_arguments(setup.ports, qemu),
        *("-device", qemu.device("machine", "virtio-rng-pci", {"addr": f"{_RANDOM_SLOT:02x}.0"})),
        *share_arguments(setup.shares, qemu),
        *nvme_arguments(topology, qemu, setup.files),
    ]


def machine_arguments(machine: Machine, qemu: Qemu, setup: Setup) -> list[str]:
    """The board, the processors, the memory and the IOMMU, which must come before PCI devices."""
    kvm = setup.accelerator == "kvm"
    threads = "single" if setup.count_instructions else "multi"
    # The IOMMU can remap interrupts only when QEMU, not KVM, has the I/O APIC.
    board = "q35,kernel-irqchip=split" if machine.iommu and kvm else "q35"
    found = [
        *("-machine", board),
        *("-accel", "kvm" if kvm else f"tcg,thread={threads}"),
        *(("-icount", "shift=0,sleep=on") if setup.count_instructions else ()),
        # Five-level page tables cost the emulated MMU a step, and nothing here needs them.
        *("-cpu", "host" if kvm else "max,la57=off"),
        *("-smp", str(1 if setup.count_instructions else machine.cpus)),
        *("-m", f"{machine.memory // MIB}M"),
    ]
    if machine.iommu:
        options = {"intremap": True, "caching-mode": True}
        found += ["-device", qemu.device("machine.iommu", "intel-iommu", options)]
    return found


def boot_arguments(machine: Machine, boot: Boot) -> list[str]:
    """Kernel, initial root, and the words of both the boot and the topology."""
    words = " ".join([*boot.words, *machine.words()])
    return ["-kernel", str(boot.kernel), "-initrd", str(boot.initrd), "-append", words]


def port_arguments(ports: Sequence[Port], qemu: Qemu) -> list[str]:
    """One virtio-serial bus, and the ports on it, numbered from 1 (0 is for consoles)."""
    if not ports:
        return []
    bus = {"id": "ports", "addr": f"{_PORTS_SLOT:02x}.0"}
    found = ["-device", qemu.device("machine", "virtio-serial-pci", bus)]
    for number, port in enumerate(ports, start=1):
        name = f"port{number}"
        options = {"bus": "ports.0", "nr": number, "chardev": name, "name": port.name}
        found += _line(name, port.chardev, "-device", keyval("virtserialport", options))
    return found


def share_arguments(shares: Sequence[Share], qemu: Qemu) -> list[str]:
    """A 9p device for each share. Raises ValueError when there is no slot left."""
    if len(shares) > MOST_SHARES:
        raise ValueError(f"{len(shares)} shares; there are slots for {MOST_SHARES}")
    found = []
    for number, (share, slot) in enumerate(zip(shares, _SHARE_SLOTS, strict=False)):
        name = f"share{number}"
        folder = {"id": name, "path": share.path, "security_model": "none"}
        # A tree of several file systems has inode numbers that collide.
        folder |= {"multidevs": "remap", "readonly": share.read_only}
        options = {"fsdev": name, "mount_tag": share.tag, "addr": f"{slot:02x}.0"}
        found += ["-fsdev", keyval("local", folder)]
        found += ["-device", qemu.device("machine", "virtio-9p-pci", options)]
    return found


def _line(name: str, chardev: str | None, option: str, use: str) -> list[str]:
    """A character device and what it is for."""
    if chardev is None:
        return []
    kind, _, rest = chardev.partition(",")
    return ["-chardev", f"{kind},id={name}" + (f",{rest}" if rest else ""), option, use]
