"""Lines between a machine and us, in both directions."""

from __future__ import annotations

import socket


class Lines:
    """Whole lines out of a stream that comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[str]:
        """The lines that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def send_line(port: socket.socket, text: str, patience: float) -> None:
    """Sends a line over a non-blocking port; raises OSError when nobody takes it in that time."""
    port.settimeout(patience)
    try:
        port.sendall(text.encode() + b"\n")
    finally:
        port.setblocking(False)
