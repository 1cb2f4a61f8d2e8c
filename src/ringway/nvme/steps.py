"""Writes to sysfs that may hang, carried out in a process that can be left behind."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from ringway.errors import error_of

#: Writes each pair of a file and a text; tells after each that it is done, or its errno.
_WRITER = """
import os, sys
for file, text in zip(sys.argv[1::2], sys.argv[2::2]):
    failed = 0
    try:
        os.write(os.open(file, os.O_WRONLY), text.encode())
    except OSError as error:
        failed = error.errno
    os.write(1, b"%d\\n" % failed)
    if failed:
        break
"""

#: The longest answer: the digits of an errno, and the end of the line.
_ANSWER = 8

#: Writers that hang, to be reaped when they are seen to have ended.
_left: list[subprocess.Popen[bytes]] = []


class Step(NamedTuple):
    """One write, and what it is for in words that go on from "could not" and "to"."""

    file: Path
    text: str
    purpose: str


def carry_out(steps: list[Step], timeout: float, hold: int) -> None:
    """Writes the steps in order, within `timeout` seconds in all.

    A write to ``unbind`` returns when the driver has let go, which can be never. So another
    process does it. It keeps the lock `hold` open: as long as a write hangs, nobody else begins
    on the device. Raises `DeadlineError` when one hangs, or the error of the write that failed;
    `KeyboardInterrupt` when Ctrl-C came and all were done.
    """
    if not steps:
        return
    _left[:] = [writer for writer in _left if writer.poll() is None]
    words = [word for step in steps for word in (str(step.file), step.text)]
    writer = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WRITER, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pass_fds=(hold,),
        # Ctrl-C must not stop it between two writes.
        start_new_session=True,
    )
    assert writer.stdout is not None
    with writer.stdout as answers:
        done, interrupt = _follow_through(steps, answers.fileno(), time.monotonic() + timeout)
    if done < len(steps):
        raise _hanging(steps[done], writer, timeout) from interrupt
    writer.wait()
    if interrupt:
        raise interrupt


def _follow_through(
    steps: list[Step], answers: int, end: float
) -> tuple[int, KeyboardInterrupt | None]:
    """`_follow`, also after Ctrl-C: what comes next, perhaps the way back, must not run beside it.

    Answers are read to where they stay, by a call that Ctrl-C cannot part from keeping them.
    """
    told = bytearray(_ANSWER * len(steps) + 1)
    interrupt = None
    while True:
        try:
            return _follow(steps, answers, told, end), interrupt
        except KeyboardInterrupt as error:
            interrupt = error


def _follow(steps: list[Step], answers: int, told: bytearray, end: float) -> int:
    """How many steps were done when all were, or the time was over; `told` ends in zeros."""
    while told.count(b"\n") < len(steps):
        if not select.select([answers], [], [], max(0.0, end - time.monotonic()))[0]:
            break
        part = os.readv(answers, [memoryview(told)[told.index(0) :]])
        _check(steps, told.split(b"\n")[:-1], ended=not part)
    return told.count(b"\n")


def _check(steps: list[Step], answers: list[bytearray], *, ended: bool) -> None:
    for step, answer in zip(steps, answers, strict=False):
        if code := int(answer):
            raise error_of(-code, f"could not {step.purpose}: {_explain(code)}")
    if ended and len(answers) < len(steps):
        raise error_of(
            -errno.EIO, f"could not {steps[len(answers)].purpose}: the writing process died"
        )


def _explain(code: int) -> str:
    if code in (errno.EACCES, errno.EPERM):
        return f"{os.strerror(code)}; this needs root"
    if code == errno.EROFS:
        return "sysfs is read-only here, as in a container; run it on the host"
    return f"{os.strerror(code)}; the kernel's log may say more (dmesg)"


def _hanging(step: Step, writer: subprocess.Popen[bytes], timeout: float) -> OSError:
    """Tells it, and lets go of the process: killing it works as soon as the kernel lets it."""
    writer.kill()
    _left.append(writer)
    return error_of(
        -errno.ETIME,
        f"the kernel has not managed to {step.purpose} in {timeout:g} s: something still uses the "
        f"device. Process {writer.pid} hangs in that write until it is released; then "
        "'ringway nvme restore' puts things right",
    )
