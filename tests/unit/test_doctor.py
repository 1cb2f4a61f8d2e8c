"""The doctor: findings from given facts, facts from given trees, paths from a mock registry."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ringway import checkup
from ringway.checkup import Finding, examine_machine
from ringway.doctor import examine, examine_paths
from ringway.machine import (
    CAP_IPC_LOCK,
    CAP_PERFMON,
    CAP_SYS_ADMIN,
    Disk,
    Machine,
    honours_nowait,
    read_disk,
    read_machine,
)
from ringway.paths import Catalog, PathInfo, PathSpec, native_catalog
from ringway.storage import BlockDevice

MIB = 1 << 20
PLAIN = Machine(kernel="6.1.0-18-amd64", cpus=8, memlock=8 * MIB)


def with_facts(**facts: object) -> Machine:
    return msgspec.structs.replace(PLAIN, **facts)


def with_disk(**facts: object) -> Machine:
    disk = Disk(name="nvme0n1", scheduler="none", nr_requests=1023)
    return with_facts(disk=msgspec.structs.replace(disk, **facts))


# ---------------------------------------------------------------- machine


def test_every_topic_appears_once_and_what_fails_says_what_to_do() -> None:
    found = examine_machine(PLAIN, None)
    topics = [finding.options for finding in found]
    assert len(set(topics)) == len(topics) == 12
    assert {finding.path for finding in found} == {"machine"}
    assert all(finding.advice for finding in found if not finding.usable)


def test_a_refused_ring_is_told_in_the_words_of_the_core() -> None:
    finding = checkup.ring_policy(PLAIN, "forbidden by the sysctl: set it to 0")
    assert (finding.usable, finding.reason) == (False, "forbidden by the sysctl: set it to 0")


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "no sysctl against it, no seccomp filter"),
        ({"io_uring_disabled": 0}, "kernel.io_uring_disabled is 0, no seccomp filter"),
        ({"io_uring_disabled": 1, "io_uring_group": 4711}, "is 1 with group 4711"),
        ({"io_uring_disabled": 1, "io_uring_group": -1}, "is 1, no"),
        ({"io_uring_disabled": 0, "seccomp": True}, "the seccomp filter lets it pass"),
    ],
)
def test_an_allowed_ring_says_what_allows_it(facts: dict[str, object], text: str) -> None:
    finding = checkup.ring_policy(with_facts(**facts), None)
    assert finding.usable
    assert text in finding.reason


@pytest.mark.parametrize(
    ("release", "lacking"),
    [
        ("6.18.44", None),
        ("6.1.0-18-amd64", None),
        ("6.0.9", "for defer (6.1)"),
        ("5.15.0-91-generic", "for fixed, io_uring_cmd (5.19), defer (6.1)"),
        ("4.19.0", "io_uring with deadlines (5.11)"),
        ("unreadable", "io_uring with deadlines (5.11)"),
    ],
)
def test_an_old_kernel_is_told_what_it_lacks(release: str, lacking: str | None) -> None:
    finding = checkup.kernel(with_facts(kernel=release))
    assert finding.usable is (lacking is None)
    assert lacking is None or lacking in finding.reason


def test_sqpoll_needs_a_spare_cpu() -> None:
    assert checkup.cpus(with_facts(cpus=2)).usable
    alone = checkup.cpus(with_facts(cpus=1))
    assert not alone.usable
    assert "sqpoll" in alone.advice


@pytest.mark.parametrize(
    ("memlock", "capabilities", "usable"),
    [
        (8 * MIB, 0, False),
        (16 * MIB, 0, True),
        (None, 0, True),
        (64 << 10, 1 << CAP_IPC_LOCK, True),
    ],
)
def test_locked_memory(memlock: int | None, capabilities: int, usable: bool) -> None:
    facts = with_facts(memlock=memlock, capabilities=capabilities)
    assert checkup.locked_memory(facts).usable is usable


def test_locked_memory_names_limit_and_need() -> None:
    finding = checkup.locked_memory(with_facts(memlock=64 << 10))
    assert "0.0625 MiB" in finding.reason
    assert "16 MiB" in finding.reason
    assert "ulimit -l" in finding.advice


def test_huge_pages_must_be_free_for_a_whole_region() -> None:
    assert checkup.huge_pages(with_facts(huge_total=32 * MIB, huge_free=16 * MIB)).usable
    taken = checkup.huge_pages(with_facts(huge_total=32 * MIB, huge_free=14 * MIB))
    assert not taken.usable
    assert "14 of 32 MiB free" in taken.reason


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("nvme0n1", "nvme.poll_queues=2"),
        ("vda", "virtio_blk.poll_queues=2"),
        ("sda", "leave iopoll out"),
        ("zram0", "leave iopoll out"),
    ],
)
def test_missing_poll_queues_say_which_module_makes_them(name: str, advice: str) -> None:
    finding = checkup.poll_queues(with_disk(name=name))
    assert not finding.usable
    assert advice in finding.advice


def test_poll_queues_need_a_device() -> None:
    assert checkup.poll_queues(with_disk(poll_queues=True)).usable
    assert not checkup.poll_queues(PLAIN).usable


def test_a_scheduler_is_worth_a_hint_only_where_none_can_be_had() -> None:
    assert checkup.scheduler(with_disk()).advice == ""
    assert checkup.scheduler(with_disk(scheduler=None)).advice == ""
    assert checkup.scheduler(with_disk(scheduler="bfq", schedulers=["kyber"])).advice == ""
    hint = checkup.scheduler(with_disk(scheduler="mq-deadline", schedulers=["none", "bfq"]))
    assert hint.usable
    assert "echo none > /sys/block/nvme0n1/queue/scheduler" in hint.advice


def test_few_requests_are_told() -> None:
    assert checkup.requests(with_disk(nr_requests=64)).usable
    assert checkup.requests(with_disk(nr_requests=None)).usable
    few = checkup.requests(with_disk(nr_requests=32))
    assert not few.usable
    assert "nvme0n1 takes 32 requests" in few.reason


@pytest.mark.parametrize(
    ("facts", "usable"),
    [
        ({"capabilities": 1 << CAP_SYS_ADMIN}, True),
        ({"capabilities": 1 << CAP_PERFMON, "tracepoint": True}, True),
        ({"capabilities": 1 << CAP_PERFMON}, False),
        ({"tracepoint": True, "perf_paranoid": -1}, True),
        ({"tracepoint": True, "perf_paranoid": 2}, False),
        ({}, False),
    ],
)
def test_punts_take_perf_events_and_a_tracepoint(facts: dict[str, object], usable: bool) -> None:
    assert checkup.punts(with_facts(**facts)).usable is usable


@pytest.mark.parametrize(("nowait", "usable"), [(True, True), (None, True), (False, False)])
def test_targets_that_make_io_uring_punt_are_told(nowait: bool | None, usable: bool) -> None:
    assert checkup.waiting(with_facts(nowait=nowait)).usable is usable


def test_tools_are_named_with_their_version() -> None:
    assert "fio 3.33" in checkup.fio(with_facts(fio="3.33")).reason
    assert "install" in checkup.fio(PLAIN).advice
    assert "3.8" in checkup.matplotlib(with_facts(matplotlib="3.8")).reason
    assert "ringway[plot]" in checkup.matplotlib(PLAIN).advice


# ---------------------------------------------------------------- reading


def write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_facts_are_read_from_the_trees(tmp_path: Path) -> None:
    proc, sys = tmp_path / "proc", tmp_path / "sys"
    write(proc, "self/status", "CapEff:\t0000004000000000\nSeccomp:\t2\nSeccomp_filters:\t1\n")
    write(proc, "sys/kernel/io_uring_disabled", "1\n")
    write(proc, "sys/kernel/io_uring_group", "-1\n")
    write(proc, "sys/kernel/perf_event_paranoid", "3\n")
    write(sys, "kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n")
    write(sys, "kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "5\n")
    write(sys, "kernel/tracing/events/io_uring/io_uring_queue_async_work/id", "1234\n")
    machine = read_machine(None, proc, sys)
    assert (machine.io_uring_disabled, machine.io_uring_group) == (1, -1)
    assert machine.can(CAP_PERFMON)
    assert not machine.can(CAP_SYS_ADMIN)
    assert machine.seccomp
    assert machine.tracepoint
    assert machine.perf_paranoid == 3
    assert (machine.huge_total, machine.huge_free) == (16 * MIB, 10 * MIB)
    assert machine.disk is None


def test_empty_trees_are_facts_too(tmp_path: Path) -> None:
    machine = read_machine(None, tmp_path, tmp_path)
    assert machine.io_uring_disabled is None
    assert not machine.seccomp
    assert machine.capabilities == machine.huge_total == 0


def test_this_machine_can_be_read() -> None:
    machine = read_machine(None)
    assert machine.kernel_version >= (3, 0)
    assert machine.cpus == len(os.sched_getaffinity(0))


def test_nowait_is_asked_of_the_target(tmp_path: Path) -> None:
    write(tmp_path, "file", "text")
    assert honours_nowait(str(tmp_path / "file")) in (True, False)
    assert honours_nowait(str(tmp_path / "absent")) is None
    assert honours_nowait(str(tmp_path)) is None
    assert honours_nowait("/dev/null") is None
    memory = os.memfd_create("ringway-test")
    try:
        assert honours_nowait(f"/proc/self/fd/{memory}") is False
    finally:
        os.close(memory)


def test_a_disk_is_read_from_its_queue(tmp_path: Path) -> None:
    write(tmp_path, "vda/queue/scheduler", "none [mq-deadline] kyber\n")
    write(tmp_path, "vda/queue/nr_requests", "256\n")
    write(tmp_path, "vda/queue/io_poll", "1\n")
    folder = tmp_path / "vda"
    assert read_disk(BlockDevice("vda", folder, folder / "queue")) == Disk(
        name="vda",
        scheduler="mq-deadline",
        schedulers=["none", "kyber"],
        nr_requests=256,
        poll_queues=True,
    )


@pytest.mark.parametrize(("text", "scheduler"), [("none\n", "none"), (None, None)])
def test_a_disk_without_a_choice(tmp_path: Path, text: str | None, scheduler: str | None) -> None:
    if text:
        write(tmp_path, "queue/scheduler", text)
    disk = read_disk(BlockDevice("zram0", tmp_path, tmp_path / "queue"))
    assert (disk.scheduler, disk.nr_requests, disk.poll_queues) == (scheduler, None, False)


# ------------------------------------------------------------------ paths

PATHS = (
    PathInfo("ring", "rings", options={"fixed": "registered buffers", "iopoll": "polling"}),
    PathInfo("plain", "calls"),
    PathInfo("memory", "no device", scheme="memory"),
)


def registry(refusals: dict[tuple[str, bool], str]) -> Catalog:
    """A registry that refuses ``(spec, direct)`` with the given reason."""

    def probe(spec: PathSpec, target: str, direct: bool, writable: bool) -> str | None:
        assert not writable
        return refusals.get((str(spec), direct))

    return Catalog(PATHS, probe)


def rows(found: list[Finding]) -> list[tuple[str, str, bool]]:
    return [(finding.path, finding.options, finding.usable) for finding in found]


def test_without_a_target_every_path_mode_and_option_is_tried() -> None:
    assert rows(examine_paths(registry({}), None, "/scratch")) == [
        ("ring", "direct", True),
        ("ring", "buffered", True),
        ("ring", "fixed", True),
        ("ring", "iopoll", True),
        ("plain", "direct", True),
        ("plain", "buffered", True),
        ("memory", "", True),
    ]


def test_a_target_is_tried_on_the_paths_that_serve_it() -> None:
    found = examine_paths(registry({}), "memory:1MiB", "/scratch")
    assert rows(found) == [("memory", "", True)]
    assert found[0].reason == "no device"


def test_options_are_tried_in_the_mode_that_works() -> None:
    refusals = {("ring", True): "no O_DIRECT here", ("ring+iopoll", False): "nothing to poll"}
    found = examine_paths(registry(refusals), "/file", "/scratch")
    assert rows(found)[:4] == [
        ("ring", "direct", False),
        ("ring", "buffered", True),
        ("ring", "fixed", True),
        ("ring", "iopoll", False),
    ]
    assert found[3].reason == "nothing to poll"


def test_one_cause_is_told_once() -> None:
    refusals = {("ring", True): "io_uring is forbidden", ("ring", False): "io_uring is forbidden"}
    found = examine_paths(registry(refusals), "/file", "/scratch")
    assert found[0] == Finding("ring", "", False, "io_uring is forbidden")
    assert rows(found)[1:] == [("plain", "direct", True), ("plain", "buffered", True)]


# ------------------------------------------------------------- the real one

#: Forbids io_uring_setup (425 on every architecture) to itself, then examines.
FORBIDDEN = """
import ctypes, struct, sys, msgspec
libc = ctypes.CDLL(None, use_errno=True)
SET_SECCOMP, SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2
LOAD, JUMP_EQUAL, RETURN, FAIL, ALLOW = 0x20, 0x15, 0x06, 0x00050000, 0x7FFF0000
steps = [(LOAD, 0, 0, 0), (JUMP_EQUAL, 0, 1, 425), (RETURN, 0, 0, FAIL | int(sys.argv[1])),
         (RETURN, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = struct.pack("@HP", len(steps), ctypes.addressof(code))
assert libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(SET_SECCOMP, MODE_FILTER, program) == 0
from ringway.doctor import examine
sys.stdout.buffer.write(msgspec.json.encode(examine(None)))
"""


@pytest.mark.parametrize("answer", [errno.EPERM, errno.EACCES, errno.ENOSYS])
def test_a_seccomp_filter_is_named_and_only_io_uring_suffers(tmp_path: Path, answer: int) -> None:
    command = [sys.executable, "-c", FORBIDDEN, str(answer)]
    child = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert child.returncode == 0, child.stderr.decode()
    found = msgspec.json.decode(child.stdout, type=list[Finding])
    refused = [finding for finding in found if finding.path == "io_uring"]
    assert [finding.usable for finding in refused] == [False]
    assert "seccomp" in refused[0].reason
    policy = next(finding for finding in found if finding.options == "io_uring")
    assert policy == Finding("machine", "io_uring", False, refused[0].reason)
    usable = {finding.path for finding in found if finding.usable}
    assert {"posix", "mem", "null"} <= usable
    assert not list(tmp_path.iterdir())


def test_every_path_of_the_registry_is_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = examine(None)
    assert {info.name for info in native_catalog().paths} <= {finding.path for finding in found}
    assert all(finding.reason for finding in found)
    assert not list(tmp_path.iterdir())


def test_a_missing_target_is_told_once_per_path(tmp_path: Path) -> None:
    found = [item for item in examine(str(tmp_path / "absent")) if item.path != "machine"]
    assert found
    assert not any(finding.usable for finding in found)
    assert len({finding.path for finding in found}) == len(found)
