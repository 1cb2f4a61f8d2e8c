"""The journal: what was taken from its driver, written down before it is done.

One file per device, below /run, which is empty after a start of the machine. Beside it lies the
device's lock. A record with an owner ends with that process: it is a loan, or a binding that is
not complete. One without stays until somebody gives the device back.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ringway.errors import error_of
from ringway.files import lock_file, replace_file, sync_folder
from ringway.storage import read_text

from .host import Host, pci_address

SCHEMA = "ringway.nvme.journal/1"
SYSTEM_FOLDER = Path("/run/ringway/nvme")
#: The start of a process, in the fields of /proc/PID/stat behind its name: proc_pid_stat(5).
_START_FIELD = 19


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A process, so that a later one with the same number is not taken for it."""

    pid: int
    #: Clock ticks from the machine's start to its own.
    start: int
    #: Numbers of processes mean something in their name space only.
    space: str


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """What is needed to give a device back."""

    pci: str
    #: The driver it was given to, and the one it had; None: it had none.
    driver: str
    original: str | None
    override: str | None
    boot: str
    owner: Owner | None
    #: What a list can show while the NVMe driver does not know the device.
    model: str | None = None
    serial: str | None = None
    #: As many come back with the driver.
    namespaces: int = 0
    #: Whose node of the group was whose before; None: it was not handed on.
    node_owner: tuple[int, int] | None = None
    #: ringway turned on VFIO's switch for the mode without an IOMMU, for this or for another that
    #: was lent then: the last one with this mark turns it off.
    noiommu_switched: bool = False


def default_folder() -> Path:
    """Where root's journals lie, and the user's own for those who may bind without being root."""
    if os.geteuid() == 0:
        return SYSTEM_FOLDER
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}", "ringway/nvme")


def this_process(host: Host) -> Owner:
    """The caller, as an owner."""
    pid = os.getpid()
    start = _start_of(host, pid)
    return Owner(pid=pid, start=-1 if start is None else start, space=_space(host))


def alive(host: Host, owner: Owner) -> bool:
    """Whether that process still lives; one of another container counts as living."""
    return owner.space != _space(host) or _start_of(host, owner.pid) == owner.start


def _space(host: Host) -> str:
    try:
        return os.readlink(host.proc / "self/ns/pid")
    except OSError:
        return ""


def _start_of(host: Host, pid: int) -> int | None:
    # The name stands in brackets and may hold any character.
    fields = (read_text(host.proc / str(pid) / "stat") or "").rpartition(")")[2].split()
    if len(fields) <= _START_FIELD or fields[0] in "ZX":
        return None
    return int(fields[_START_FIELD])


class Journal:
    """The records in one folder."""

    def __init__(self, host: Host, folder: Path | None = None) -> None:
        self._host = host
        self.folder = folder or default_folder()

    def addresses(self) -> list[str]:
        """Devices that have a record."""
        try:
            return sorted(file.stem for file in self.folder.glob("*.json"))
        except OSError:
            return []

    def read(self, address: str) -> Record | None:
        """The record of a device; None: there is none, or it is of an earlier boot.

        Raises `ArgumentError` where the file holds something else.
        """
        file = self._file(address)
        try:
            record = msgspec.json.decode(file.read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise error_of(
                -errno.EINVAL,
                f"{file} is no journal that this version of ringway can read ({error}): give "
                f"{address} back to its driver by hand, then delete the file",
            ) from None
        return record if record.boot == self._host.boot() else None

    def write(self, record: Record) -> None:
        """Puts the record in place whole, and on stable storage, or not at all."""
        replace_file(self._file(record.pci), msgspec.json.encode(record))

    def drop(self, address: str) -> None:
        """Removes the record: the device is back."""
        self._file(address).unlink(missing_ok=True)
        sync_folder(self.folder)

    @contextmanager
    def locked(self, address: str, timeout: float) -> Iterator[int]:
        """The lock of a device, as its descriptor. Raises `BusyError` when others keep it."""
        self._make_folder()
        descriptor = os.open(
            self.folder / f"{pci_address(address)}.lock",
            os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
            0o644,
        )
        try:
            _take(descriptor, address, time.monotonic() + timeout)
            yield descriptor
        finally:
            os.close(descriptor)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            code = error.errno or errno.EIO
            text = f"no journal can be kept in {self.folder}: {os.strerror(code)}; run it as root"
            raise error_of(-code, text) from None

    def _file(self, address: str) -> Path:
        return self.folder / f"{address}.json"


def _take(descriptor: int, address: str, end: float) -> None:
    if not lock_file(descriptor, end):
        raise error_of(-errno.EBUSY, _taken(descriptor, address))
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _taken(descriptor: int, address: str) -> str:
    holder = os.pread(descriptor, 20, 0).decode(errors="replace") or "?"
    return (
        f"another ringway (process {holder}) is giving or taking back {address}; try again when "
        "it is done"
    )
