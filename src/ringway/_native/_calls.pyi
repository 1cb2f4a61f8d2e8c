"""What the type checker sees of calls.c."""

from typing import Any

class Calls:
    def _bind(self, device: int, timeout_ns: int) -> None: ...
    def readinto(self, offset: int, buffer: Any, timeout: float | None = None) -> int:
        """Fills `buffer` from `offset`; returns the bytes read."""
    def write(self, offset: int, data: Any, timeout: float | None = None) -> int:
        """Writes all of `data` at `offset`; returns the bytes written."""

class QueueHandle:
    def _bind(self, queue: int) -> None: ...

def set_buffer_type(type: type) -> None: ...
