"""What a machine forbids: io_uring by seccomp, locked memory by a limit; what is chosen then."""

from __future__ import annotations

import platform

import pytest

#: Numbers of the system calls that make a ring, and a libaio context.
IO_URING_SETUP = 425
IO_SETUP = {"x86_64": 206, "aarch64": 0}.get(platform.machine())

FORBID = """
import ctypes, struct, sys

def forbid(*numbers):
    '''A seccomp filter: EPERM for these system calls.'''
    def step(code, jump_true, jump_false, value):
        return struct.pack("HBBI", code, jump_true, jump_false, value)
    program = step(0x20, 0, 0, 0)
    for number in numbers:
        program += step(0x15, 0, 1, number) + step(0x06, 0, 0, 0x00050000 | 1)
    program += step(0x06, 0, 0, 0x7fff0000)
    memory = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0, "no new privileges"
    assert libc.prctl(22, 2, header, 0, 0) == 0, f"no filter: {ctypes.get_errno()}"

import ringway
target = sys.argv[1]
forbid(*map(int, sys.argv[2:]))
"""


@pytest.fixture
def forbidden(child, targets):
    def run(code, *numbers):
        done = child(FORBID + code, targets.of("file"), *numbers)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


def test_io_uring_forbidden_by_seccomp(forbidden):
    said = forbidden(
        """
try:
    ringway.open(target, "io_uring")
except ringway.NotPermittedError as error:
    print(error)
""",
        IO_URING_SETUP,
    )
    assert "seccomp filter" in said
    assert "io_uring_setup" in said


def test_the_choice_falls_back_and_says_why(forbidden):
    said = forbidden(
        """
with ringway.open(target) as dev:
    assert dev.readinto(0, dev.alloc(4096)) == 4096
    print(dev.path, dev.why)
""",
        IO_URING_SETUP,
    )
    assert said.startswith("libaio the best path that works here; not used: io_uring: ")
    assert "seccomp" in said


def test_with_both_forbidden_posix_is_left(forbidden):
    if IO_SETUP is None:
        pytest.skip(f"no system call numbers known for {platform.machine()}")
    said = forbidden(
        """
with ringway.open(target) as dev:
    assert dev.readinto(0, dev.alloc(4096)) == 4096
    print(dev.path, dev.why)
""",
        IO_URING_SETUP,
        IO_SETUP,
    )
    assert said.startswith("posix ")
    assert "io_uring: " in said
    assert "libaio: " in said


LIMIT = """
import os, resource, sys
from ringway import *  # all of it, while its files can be read
import ringway
resource.setrlimit(resource.RLIMIT_MEMLOCK, (64 << 10, 64 << 10))
if not os.getuid():  # root's capabilities lift the limit
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


def test_too_little_memory_may_be_locked(child, targets):
    code = """
try:
    ringway.open(sys.argv[1], "io_uring+fixed")
except ringway.RingwayError as error:
    print(error)
with ringway.open(sys.argv[1]) as dev:
    print(dev.path, *dev.options)
    print(dev.why)
    done = dev.read_many([0] * 8, dev.alloc(8 * 4096))
    assert done.failed == 0
"""
    done = child(LIMIT + code, targets.of("file"))
    assert (done.returncode, done.stderr) == (0, "")
    refusal, chosen, why = done.stdout.splitlines()
    assert "locked-memory limit" in refusal
    assert "ulimit -l" in refusal
    assert "fixed" not in chosen
    assert chosen.startswith("io_uring")
    assert "not used: fixed: " in why
    assert "ulimit -l" in why
