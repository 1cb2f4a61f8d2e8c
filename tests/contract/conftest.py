"""What contract tests share: every path and option of the registry, and targets to open with them.

A *case* is a path with options, a kind of target, and direct or buffered. Cases come from the
registry: a new path or option is tested without an edit here. test_paths.py tries all of them, and
says why this machine cannot open some; the other tests run for those that it can.

Targets are made where they can be. Drives are named by who runs the tests, since what is on them
is overwritten: RINGWAY_TEST_NVME, an NVMe block device such as /dev/nvme1n1, gives the kinds "nvme"
and "ng" (its character device), RINGWAY_TEST_POLLED, a block device with poll queues, the kind
"polled". With one of them named, only cases on such drives run.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

import ringway
from ringway.paths import PathInfo, native_catalog

#: Bytes of a target; and of the blocks that tests move: a multiple of every device's own.
SIZE = 256 << 10
BLOCK = 4096

#: Drives that may be overwritten, by kind.
DRIVES = {
    kind: drive
    for kind, drive in {
        "nvme": os.environ.get("RINGWAY_TEST_NVME", ""),
        "ng": os.environ.get("RINGWAY_TEST_NVME", "").replace("/nvme", "/ng"),
        "polled": os.environ.get("RINGWAY_TEST_POLLED", ""),
    }.items()
    if drive
}

#: Targets of paths that serve files and block devices, and whether they are opened so.
KINDS = [("file", True), ("file", False), ("loop", True), ("zram", True)]
if DRIVES:
    KINDS = [(kind, True) for kind in DRIVES if kind != "ng"]

#: Paths with targets of a kind of their own.
OWN_KINDS = {"io_uring_cmd": [("ng", True)]}

hypothesis.settings.register_profile(
    "contract",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("contract")


# -------------------------------------------------------------- the machine


def _file_system(folder: str) -> str:
    """Its type, as the kernel names it; "" where that is not told."""
    status = os.stat(folder)
    number = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[2] == number:
            return fields[fields.index("-") + 1]
    return ""


PLACES = [tempfile.gettempdir(), "/var/tmp", str(Path(__file__).resolve().parents[2])]


@cache
def _place() -> str | None:
    """A folder on a disk."""
    for place in PLACES:
        if os.access(place, os.W_OK) and _file_system(place) not in ("tmpfs", "overlay"):
            return place
    return None


@pytest.fixture(scope="session")
def disk() -> Iterator[Path]:
    """A new folder on a disk, which other users may enter too."""
    place = _place()
    if place is None:
        pytest.skip(f"none of {', '.join(PLACES)} is on a disk: set TMPDIR to a folder that is")
    with tempfile.TemporaryDirectory(prefix="ringway-test-", dir=place) as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def make_file(path: Path, size: int = SIZE) -> str:
    """A file of random bytes."""
    path.write_bytes(np.random.default_rng(size).bytes(size))
    return str(path)


def run_tool(*command: str) -> str:
    """What a tool of the system prints; skips where it is missing or refuses."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip(f"{command[0]} is not installed")
    if done.returncode:
        pytest.skip(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


@pytest.fixture(scope="session")
def tool() -> Callable[..., str]:
    return run_tool


@contextmanager
def _loop_device(image: str, *options: str) -> Iterator[str]:
    """A loop device on a file."""
    if os.geteuid():
        pytest.skip("only root may set up a loop device")
    device = run_tool("losetup", "--find", "--show", *options, image)
    # Detached while it is open, it goes with its last user, however these tests end.
    held = os.open(device, os.O_RDONLY)
    subprocess.run(["losetup", "--detach", device], check=True)
    try:
        yield device
    finally:
        os.close(held)


@pytest.fixture(scope="session")
def loop_device() -> Callable[..., AbstractContextManager[str]]:
    return _loop_device


@contextmanager
def _zram_device(size: int) -> Iterator[str]:
    """/dev/zram0, where nobody uses it."""
    knob = Path("/sys/block/zram0")
    if os.geteuid():
        pytest.skip("only root may set up zram0")
    if not knob.exists():
        pytest.skip("there is no zram0: modprobe zram")
    lock = os.open(knob, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # One of just this size was left by tests that were killed.
        if int((knob / "disksize").read_text()) not in (0, size):
            pytest.skip("zram0 is in use")
        (knob / "reset").write_text("1")
        (knob / "disksize").write_text(str(size))
        yield "/dev/zram0"
        (knob / "reset").write_text("1")
    except BlockingIOError:
        pytest.skip("zram0 is in use by other tests")
    finally:
        os.close(lock)


class Targets:
    """One target of each kind, made when first asked for."""

    def __init__(self, folder: Path, cleanup: ExitStack) -> None:
        self._folder = folder
        self._cleanup = cleanup
        self._made: dict[str, str] = {}

    def of(self, kind: str) -> str:
        """Skips where this machine cannot have one."""
        if kind not in self._made:
            self._made[kind] = self._make(kind)
        return self._made[kind]

    def _make(self, kind: str) -> str:
        if kind == "file":
            return make_file(self._folder / "target")
        if kind == "loop":
            return self._cleanup.enter_context(_loop_device(make_file(self._folder / "loop.image")))
        if kind == "zram":
            return self._cleanup.enter_context(_zram_device(SIZE))
        if kind in ("nvme", "ng", "polled"):
            return DRIVES.get(kind) or pytest.skip("RINGWAY_TEST_NVME names no NVMe drive")
        return f"{kind}:{SIZE}"


@pytest.fixture(scope="session")
def targets(request: pytest.FixtureRequest) -> Iterator[Targets]:
    # A machine whose drives are named may have no disk to make others on.
    folder = Path() if DRIVES else request.getfixturevalue("disk")
    with ExitStack() as cleanup:
        yield Targets(folder, cleanup)


# -------------------------------------------------------------------- cases


@dataclass(frozen=True)
class Case:
    """One way to open something."""

    spec: str
    kind: str
    direct: bool

    def __str__(self) -> str:
        return f"{self.spec}-{self.kind}-{'direct' if self.direct else 'buffered'}"

    @property
    def keeps_data(self) -> bool:
        """Whether reads give back what was written."""
        return self.kind != "null"


def _specs(info: PathInfo) -> list[str]:
    """A path with every set of its options."""
    counts = range(len(info.options) + 1)
    sets = chain.from_iterable(combinations(info.options, n) for n in counts)
    return ["+".join((info.name, *chosen)) for chosen in sets]


def _kinds(info: PathInfo) -> list[tuple[str, bool]]:
    """Kinds of targets that the path serves; of drives only those that are named, if any is."""
    if info.scheme:
        return [] if DRIVES else [(info.scheme, True), (info.scheme, False)]
    own = OWN_KINDS.get(info.name, KINDS)
    return [kind for kind in own if kind[0] in DRIVES] if DRIVES else own


def _all_cases() -> list[Case]:
    cases = []
    for info in native_catalog().paths:
        cases += [Case(spec, *kind) for kind in _kinds(info) for spec in _specs(info)]
    return cases


def refusal(case: Case, target: str) -> str | None:
    """Why this machine cannot open this target so."""
    catalog = native_catalog()
    return catalog.probe(catalog.parse(case.spec), target, case.direct, True)


@cache
def _main_specs() -> list[str]:
    """Paths with at most one option, and what the automatic choice takes."""
    with tempfile.NamedTemporaryFile(dir=_place()) as file, ringway.open(file.name) as dev:
        chosen = "+".join((dev.path, *dev.options))
    specs = [spec for info in native_catalog().paths for spec in _specs(info)]
    return [spec for spec in specs if spec.count("+") < 2 or spec == chosen]


@cache
def _cases_on_drives() -> list[Case]:
    """Those that open, with at most one option; where all polls, only with that one."""
    return [
        case
        for case in _all_cases()
        if case.spec.count("+") < 2
        if case.kind != "polled" or case.spec.endswith("+iopoll")
        if refusal(case, DRIVES[case.kind]) is None
    ]


@cache
def _likely_cases() -> list[Case]:
    """Those that open on a file at hand; other sets of options only on that."""
    if DRIVES:
        return _cases_on_drives()
    kinds = ("file",) if os.geteuid() else ("file", "loop", "zram")
    with tempfile.NamedTemporaryFile(dir=_place()) as file:
        file.truncate(SIZE)
        return [
            case
            for case in _all_cases()
            if case.kind not in ("ng", *dict(KINDS))
            or (case.kind in kinds and refusal(case, file.name) is None)
            if case.spec in _main_specs() or (case.kind, case.direct) == KINDS[0]
        ]


def _is_for_drives(fixtures: set[str]) -> bool:
    return bool({"case", "any_case"} & fixtures) and "disk" not in fixtures


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With drives named, tests of these cases alone."""
    here = Path(__file__).parent
    others = [
        item
        for item in items
        if DRIVES
        and here in item.path.parents
        and not _is_for_drives(set(getattr(item, "fixturenames", ())))
    ]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "any_case" in metafunc.fixturenames:
        metafunc.parametrize("any_case", _all_cases(), ids=str)
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", _likely_cases(), ids=str, scope="module", indirect=True)
    if "spec" in metafunc.fixturenames:
        specs = [case.spec for case in _likely_cases() if (case.kind, case.direct) == KINDS[0]]
        metafunc.parametrize("spec", [spec for spec in specs if spec in _main_specs()])


@pytest.fixture(scope="module")
def case(request: pytest.FixtureRequest, targets: Targets) -> Case:
    """Every case that this machine can open, one after the other."""
    reason = refusal(request.param, targets.of(request.param.kind))
    if reason is not None:
        pytest.skip(reason)
    return request.param


@pytest.fixture(scope="module")
def open_case(case: Case, targets: Targets) -> Callable[..., ringway.Device]:
    """Opens a device as the case says, writable; another target where one is given."""

    def open_it(target: object = None, **options: Any) -> ringway.Device:
        options = {"writable": True, "direct": case.direct, **options}
        return ringway.open(str(target or targets.of(case.kind)), case.spec, **options)

    return open_it


@pytest.fixture(scope="module")
def dev(open_case: Callable[..., ringway.Device]) -> Iterator[ringway.Device]:
    """A device of SIZE bytes or more that the tests of one module share."""
    with open_case() as device:
        yield device


@pytest.fixture(scope="session")
def extent() -> int:
    """Bytes from the start of a device that tests fill: all of it, unless it was there before."""
    return SIZE


@pytest.fixture(scope="session")
def block() -> int:
    """Bytes that tests move at a time."""
    return BLOCK


@pytest.fixture
def random(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers, the same ones in every run of a test."""
    return np.random.default_rng(list(request.node.name.encode()))
