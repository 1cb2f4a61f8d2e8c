"""A shell in the machine, at the user's own terminal."""

from __future__ import annotations

import os
import shlex
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

#: Ctrl-]: what ends the machine when nothing in it answers, as in telnet(1).
ESCAPE = b"\x1d"


def at_terminal() -> bool:
    """Whether somebody sits there."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def shell_command() -> list[str]:
    """The user's shell on a terminal of the guest's own, as large as this one; script(1)."""
    size = os.get_terminal_size()
    shell = shlex.quote(os.environ.get("SHELL") or "/bin/sh")
    script = f"stty rows {size.lines} cols {size.columns}; exec {shell}"
    return ["script", "--quiet", "--return", "--command", script, "/dev/null"]


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Every key goes to the machine, Ctrl-C too."""
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
