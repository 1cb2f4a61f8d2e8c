"""The sockets between us and a machine: one pair for each port, and one for QEMU's monitor."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from .commandline import backend


class Wiring:
    """Pairs of connected sockets: our end of each, and the end that QEMU inherits."""

    def __init__(self, names: Sequence[str]) -> None:
        self._theirs: dict[str, socket.socket] = {}
        self.ports: dict[str, socket.socket] = {}
        for name in names:
            self.ports[name], self._theirs[name] = socket.socketpair()
            self.ports[name].setblocking(False)
        self.monitor, self._their_monitor = socket.socketpair()

    def chardevs(self) -> dict[str, str]:
        """For each port what it is to QEMU, as Port.chardev."""
        return {name: _socket(end) for name, end in self._theirs.items()}

    def monitor_chardev(self) -> str:
        """The same for the monitor, as Setup.monitor."""
        return _socket(self._their_monitor)

    def fds(self) -> list[int]:
        """What QEMU inherits."""
        return [end.fileno() for end in (*self._theirs.values(), self._their_monitor)]

    def close_theirs(self) -> None:
        """QEMU has its own now: an end that nobody else holds is told to be closed."""
        for end in (*self._theirs.values(), self._their_monitor):
            end.close()

    def close_ours(self) -> None:
        """No machine came of it."""
        for end in (*self.ports.values(), self.monitor):
            end.close()


def _socket(end: socket.socket) -> str:
    return backend("socket", fd=end.fileno())
