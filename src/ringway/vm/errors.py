"""Why a machine could not be had, or how it ended."""

from __future__ import annotations

from pathlib import Path


class MachineError(Exception):
    """The machine cannot be had here, or it ended before its command did.

    The text says what to do. `log` is the guest's console log, kept where the machine had started.
    """

    def __init__(self, text: str, log: Path | None = None) -> None:
        super().__init__(text)
        self.log = log


class UnavailableError(MachineError):
    """This host lacks something a machine needs: QEMU, a kernel, a driver, busybox."""


class PanicError(MachineError):
    """The guest's kernel panicked or its first process failed."""


class DiedError(MachineError):
    """QEMU ended before the command did."""


class TimeLimitError(MachineError, TimeoutError):
    """The time limit passed first, or the machine did not come up in time."""


class StoppedError(MachineError):
    """The user wanted an end before the command's own."""


class JobError(MachineError, ValueError):
    """What was asked for cannot be done in any machine."""
