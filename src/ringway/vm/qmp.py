"""QEMU's monitor, QMP: unplugging a controller, failing its commands, while it is in use."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from .errors import MachineError

#: Longest that QEMU may take for one command, in seconds.
_PATIENCE = 30.0


class MonitorError(MachineError):
    """QEMU refused a command, or did not answer in time; the text is its own."""


class Monitor:
    """One connection to QEMU's monitor, for callers that have no event loop.

    Commands: QEMU QMP Reference Manual.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._loop = asyncio.new_event_loop()
        self._client: Any = None

    def execute(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Runs one command; what it returns. Raises MonitorError."""
        from qemu.qmp import ExecuteError, QMPError

        try:
            return self._run(self._execute(command, dict(arguments or {})))
        except ExecuteError as error:
            raise MonitorError(f"{command}: {error}") from error
        except (QMPError, OSError, asyncio.TimeoutError) as error:
            raise MonitorError(f"{command}: QEMU does not answer: {error!r}") from error

    async def _execute(self, command: str, arguments: dict[str, Any]) -> Any:
        from qemu.qmp import QMPClient

        if self._client is None:
            self._client = QMPClient("ringway")
            await self._client.connect(self._connection)
        return await self._client.execute(command, arguments)

    def _run(self, work: Any) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(work, _PATIENCE))

    def close(self) -> None:
        """Ends the connection."""
        if self._client is not None:
            client, self._client = self._client, None
            # QEMU may be gone before us: there is nothing left to end then.
            with suppress(Exception):
                self._run(client.disconnect())
        self._loop.close()
        self._connection.close()
