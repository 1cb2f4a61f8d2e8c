"""Where a stream ends, told in the stream itself.

What a guest writes to a port is on its way for a while, and what it says on another port may
overtake it. So at the end of a stream it writes a mark that nothing else is likely to hold.
"""

from __future__ import annotations

import secrets


def new_mark() -> str:
    """A mark for one machine."""
    return f"ringway-{secrets.token_hex(16)}"


class StreamEnd:
    """Takes the mark out of a stream that comes in pieces."""

    def __init__(self, mark: str) -> None:
        self._mark = mark.encode()
        self._held = b""
        self.reached = False

    def take(self, data: bytes) -> bytes:
        """What of the stream can be passed on; what may be the mark's beginning is held back."""
        if self.reached:
            return b""
        data = self._held + data
        before, mark, _ = data.partition(self._mark)
        if mark:
            self.reached, self._held = True, b""
            return before
        keep = next(
            (n for n in range(len(self._mark) - 1, 0, -1) if data.endswith(self._mark[:n])), 0
        )
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]
