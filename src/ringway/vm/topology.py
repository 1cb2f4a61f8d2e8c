"""Topologies: which machine, which NVMe controllers, which null_blk devices.

Records and their rules only: topologies.py reads them from TOML, qemu.py tells QEMU about them.
The words are NVMe's and QEMU's. Sizes are bytes, times are seconds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from ..bench.units import format_size
from ..nearest import unknown
from .controller import Controller, Subsystem
from .null_blk import NullBlk
from .record import GIB, MIB, Record, Size

#: Each takes a PCI slot and the bus behind it.
MAX_CONTROLLERS = 16
#: What namespaces may hold of the host's memory and of its temporary folder, all together.
MAX_IN_MEMORY = 4 * GIB
MAX_IN_FILES = 64 * GIB
HUGE_PAGE = 2 * MIB
_WORD = re.compile(r"[\w-]+")

_T = TypeVar("_T")


class Machine(Record, frozen=True, kw_only=True):
    """The machine around the controllers."""

    cpus: int = 2
    memory: Size = Size(2 * GIB)
    #: An Intel IOMMU with interrupt remapping, which VFIO needs.
    iommu: bool = True
    #: Memory set aside for huge pages of 2 MiB.
    hugepages: Size = Size(0)
    #: Further words on the kernel's command line.
    kernel: tuple[str, ...] = ()
    #: Modules to load beyond those that the machine needs.
    modules: tuple[str, ...] = ()
    #: Module parameters, by module: ``nvme.poll_queues = 1``.
    parameters: dict[str, dict[str, str | int | bool]] = msgspec.field(default_factory=dict)

    def wrong(self) -> Iterator[str]:
        if not 1 <= self.cpus <= 64:
            yield f"cpus: {self.cpus} is outside 1 to 64"
        if self.memory < 256 * MIB or self.memory % MIB:
            yield f"memory: {self.memory} bytes; whole MiB are needed, and at least 256MiB"
        if self.hugepages % HUGE_PAGE:
            yield f"hugepages: {self.hugepages} bytes; a size is wanted, a multiple of 2MiB"
        if self.hugepages > self.memory // 2:
            yield f"hugepages: more than half of memory ({format_size(self.memory)}); raise memory"
        for word in self.kernel:
            if not word or re.search(r"\s", word):
                yield f"kernel: {word!r} is not one word; write each by itself"
        yield from self._wrong_modules()

    def _wrong_modules(self) -> Iterator[str]:
        for module in (*self.modules, *self.parameters):
            if not _WORD.fullmatch(module):
                yield f"modules, parameters: {module!r} is no module's name"
        for module, values in self.parameters.items():
            for name, value in values.items():
                where = f"parameters.{module}.{name}"
                if not _WORD.fullmatch(name):
                    yield f"{where}: {name!r} is no parameter's name"
                if re.search(r"\s", str(value)):
                    yield f"{where}: {value!r} has white space, where the kernel ends it; use none"

    def words(self) -> tuple[str, ...]:
        """Words for the kernel's command line that the topology asks for.

        Module parameters are among them for what is built into the kernel.
        """
        pages = self.hugepages // HUGE_PAGE
        return (
            *(("intel_iommu=on",) if self.iommu else ()),
            *((f"hugepages={pages}",) if pages else ()),
            *(
                f"{module}.{argument}"
                for module in self.parameters
                for argument in self.module_arguments(module)
            ),
            *self.kernel,
        )

    def module_arguments(self, module: str) -> tuple[str, ...]:
        """What insmod(8) is given with `module`: it does not look at the kernel's words."""
        names = {name.replace("-", "_"): values for name, values in self.parameters.items()}
        values = names.get(module.replace("-", "_"), {})
        return tuple(f"{name}={_word(value)}" for name, value in values.items())


def _word(value: str | int | bool) -> str:
    return ("N", "Y")[value] if isinstance(value, bool) else str(value)


def _most_one(name: str, value: str | int | bool) -> str | int | bool:
    """A module parameter; one that counts queues is limited."""
    return min(1, value) if name.endswith("_queues") and isinstance(value, int) else value


class Topology(Record, frozen=True, kw_only=True):
    """A machine and its drives. Names, serials and namespace identifiers left out are filled in."""

    name: str = "topology"
    description: str = ""
    machine: Machine = Machine()
    subsystems: tuple[Subsystem, ...] = msgspec.field(default=(), name="subsystem")
    controllers: tuple[Controller, ...] = msgspec.field(default=(), name="controller")
    null_blk: tuple[NullBlk, ...] = ()

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "controllers", _filled(self.controllers))
        super().__post_init__()

    def on_one_cpu(self) -> Topology:
        """The same for a machine of one CPU: drivers take no more queues than there are CPUs."""
        parameters = {
            module: {name: _most_one(name, value) for name, value in values.items()}
            for module, values in self.machine.parameters.items()
        }
        null_blk = tuple(
            replace(device, queues=1, poll_queues=min(1, device.poll_queues))
            for device in self.null_blk
        )
        machine = replace(self.machine, cpus=1, parameters=parameters)
        return replace(self, machine=machine, null_blk=null_blk)

    def wrong(self) -> Iterator[str]:
        if len(self.controllers) > MAX_CONTROLLERS:
            yield f"controller: there are {len(self.controllers)}; at most {MAX_CONTROLLERS} fit"
        yield from self._wrong_names()
        for controller in self.controllers:
            yield from self._wrong_subsystem(controller)
        yield from self._wrong_amounts()
        for number, device in enumerate(self.null_blk):
            for message in self._wrong_queues(device):
                yield f"null_blk[{number}]: {message}"

    def _wrong_queues(self, device: NullBlk) -> Iterator[str]:
        """What the kernel would lower without a word (null_validate_conf() in its null_blk)."""
        cpus, polled = self.machine.cpus, self._polled
        if device.queues > cpus:
            yield f"queues: {device.queues}, and cpus of the machine is {cpus}; make them as many"
        if device.poll_queues > polled:
            yield (
                f"poll_queues: {device.poll_queues}, and the module allows {polled}; in [machine],"
                f" parameters.null_blk = {{ poll_queues = {device.poll_queues} }}"
            )

    @property
    def _polled(self) -> int:
        """Poll queues that the module null_blk lets a device have."""
        words = self.machine.module_arguments("null_blk")
        given = [word.partition("=")[2] for word in words if word.startswith("poll_queues=")]
        return int(given[-1]) if given and given[-1].isdecimal() else 1

    def _wrong_names(self) -> Iterator[str]:
        subsystems = [subsystem.name for subsystem in self.subsystems]
        names = [controller.name for controller in self.controllers]
        drives = [drive for controller in self.controllers for drive in controller.drives]
        for kind, found in (
            ("subsystem", subsystems),
            ("controller", names),
            ("namespace", drives),
        ):
            twice = _first_twice(found)
            if twice:
                yield f"{kind}: there are two called {twice}; give each a name or number of its own"
        twice = _first_twice([*subsystems, *names, *drives])
        if twice:
            yield (
                f"{twice}: controllers, subsystems and namespaces share their names, and two are"
                " called so; give one another name"
            )

    def _wrong_subsystem(self, controller: Controller) -> Iterator[str]:
        known = {subsystem.name: subsystem for subsystem in self.subsystems}
        subsystem = known.get(controller.subsystem or "")
        if controller.subsystem and subsystem is None:
            advice = unknown("subsystem", controller.subsystem, known)
            yield f"controller {controller.name}: {advice}"
        members = [other for other in self.controllers if other.subsystem == controller.subsystem]
        if subsystem and {other.serial for other in members} != {controller.serial}:
            yield f"subsystem {subsystem.name}: its controllers need one serial; leave serial out"
        twice = _first_twice([ns.nsid for other in members for ns in other.namespaces])
        if subsystem and twice:
            yield f"subsystem {subsystem.name}: nsid {twice} is there twice; leave nsid out"
        for namespace in controller.namespaces:
            where = f"controller {controller.name}, namespace {namespace.nsid}"
            if namespace.shared and not (subsystem or controller.sriov):
                yield f"{where}: shared needs sriov, or a subsystem that several controllers name"
            available = subsystem.fdp.handles if subsystem and subsystem.fdp else 0
            if any(not 0 <= handle < available for handle in namespace.handles):
                yield f"{where}: handles: the subsystem's fdp gives {available} of them, from 0"

    def _wrong_amounts(self) -> Iterator[str]:
        memory, files = self.in_memory, self.in_files
        if memory > MAX_IN_MEMORY:
            yield (
                f"namespaces in memory take {format_size(memory)}, more than"
                f' {format_size(MAX_IN_MEMORY)}; use smaller ones or backing = "null"'
            )
        if files > MAX_IN_FILES:
            yield (
                f"namespaces in temporary files take {format_size(files)}, more than"
                f" {format_size(MAX_IN_FILES)}; use smaller ones"
            )

    @property
    def in_memory(self) -> int:
        """Bytes of the host's memory that namespaces can come to hold."""
        return self._stored("memory")

    @property
    def in_files(self) -> int:
        """Bytes that temporary files can come to hold."""
        return self._stored("file")

    def _stored(self, backing: str) -> int:
        spaces = (space for controller in self.controllers for space in controller.namespaces)
        return sum(space.stored for space in spaces if space.backing == backing)


def _first_twice(words: list[_T]) -> _T | None:
    return next((word for word, times in Counter(words).items() if times > 1), None)


def _filled(controllers: tuple[Controller, ...]) -> tuple[Controller, ...]:
    """Controllers with the names, serials and namespace identifiers that were left to us."""
    named = [
        replace(controller, name=controller.name or f"nvme{number}")
        for number, controller in enumerate(controllers)
    ]
    taken: dict[str, set[int]] = {}
    for controller in named:
        given = {space.nsid for space in controller.namespaces if space.nsid}
        taken.setdefault(_scope(controller), set()).update(given)
    return tuple(_numbered(controller, taken[_scope(controller)]) for controller in named)


def _scope(controller: Controller) -> str:
    """What namespace identifiers and the serial belong to."""
    return controller.subsystem or controller.name


def _numbered(controller: Controller, taken: set[int]) -> Controller:
    spaces = []
    for space in controller.namespaces:
        nsid = space.nsid or next(number for number in count(1) if number not in taken)
        taken.add(nsid)
        spaces.append(replace(space, nsid=nsid))
    serial = controller.serial or f"ringway-{_scope(controller)}"
    return replace(controller, serial=serial, namespaces=tuple(spaces))
