"""Errors as one line and an exit status."""

from __future__ import annotations

import errno

import click

from ringway.bench.configs import ConfigError
from ringway.bench.executor import RunError, SpecError, reason_of
from ringway.paths import UnknownPath
from ringway.vm.errors import JobError, MachineError, StoppedError

#: Errors that show before any I/O that what was asked for cannot be.
_USAGE = {errno.ENOENT, errno.EISDIR, errno.EINVAL, errno.ERANGE, errno.EROFS, errno.ENOTDIR}

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
#: The machine that a command was to run in failed; free of what the command itself may end with.
MACHINE = 125


_MACHINE_ENDS = {StoppedError: INTERRUPTED, JobError: USAGE}


class Stopped(Exception):
    """Ctrl-C where there was nothing to keep."""


def describe_failure(error: Exception) -> tuple[str, int]:
    """One line about an error, and the exit status that goes with it.

    Anything unexpected is raised again: a bug deserves its traceback.
    """
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    if isinstance(error, ConfigError | SpecError | UnknownPath):
        return str(error), USAGE
    if isinstance(error, MachineError):
        return str(error), _MACHINE_ENDS.get(type(error), MACHINE)
    if isinstance(error, OSError):
        return reason_of(error), USAGE if error.errno in _USAGE else FAILED
    if isinstance(error, RunError | ImportError):
        return str(error), FAILED
    raise error
