"""QEMU as a child process that never outlives its parent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from .errors import UnavailableError

#: How long QEMU has to end by itself once it was asked to, in seconds.
_GRACE = 3.0


def mortal(command: Sequence[str]) -> list[str]:
    """The command, made to be killed with this process; setpriv(1).

    Should this process have ended before that was set, the command is not begun.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise UnavailableError(
            "there is no setpriv (util-linux), which ends QEMU should this process be killed"
        )
    guard = '[ "$PPID" = "$0" ] || exit 1; exec "$@"'
    return [
        setpriv,
        "--pdeathsig",
        "KILL",
        "--",
        "/bin/sh",
        "-c",
        guard,
        str(os.getpid()),
        *command,
    ]


class QemuProcess:
    """One QEMU, its console log and what it says on standard error, in files without a name."""

    def __init__(self, arguments: Sequence[str], console: IO[bytes], fds: Iterable[int]) -> None:
        self.console = console
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            mortal(arguments),
            stdin=subprocess.DEVNULL,
            stdout=self._messages,
            stderr=self._messages,
            pass_fds=[*fds],
            # Ctrl-C is for us to act on.
            start_new_session=True,
        )
        self.pidfd = os.pidfd_open(self._process.pid)

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def messages(self) -> str:
        """What QEMU itself has said."""
        return _text(self._messages)

    def log(self) -> str:
        """What the guest's kernel has written to its console."""
        return _text(self.console)

    def end(self) -> None:
        """Asks it to end, then insists."""
        if self.status is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_GRACE)

    def close(self) -> None:
        """Ends it, and closes what belongs to it."""
        self.end()
        os.close(self.pidfd)
        self._messages.close()
        self.console.close()


def keep_log(process: QemuProcess) -> Path:
    """Writes the console log and QEMU's own messages where they stay."""
    fd, name = tempfile.mkstemp(prefix="ringway-vm-", suffix=".log")
    with open(fd, "w") as file:
        file.write(process.log())
        messages = process.messages()
        if messages:
            file.write(f"\n--- QEMU:\n{messages}")
    return Path(name)


def _text(file: IO[bytes]) -> str:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace").replace("\r\n", "\n")
