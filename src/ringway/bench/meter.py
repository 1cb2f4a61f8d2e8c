"""Meters beside a run: what the block device counts, what the ring's kernel threads burn."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from ..storage import BlockDevice, DeviceCounters, device_under, read_text
from .record import DeviceRate

_NS = 1e-9
#: Shorter than this the kernel's counters (busy time in jiffies) say little.
_SHORTEST = 0.05


@dataclass
class DeviceMeter:
    """Samples the device's counters while a run is measured; the first and last give the rate."""

    device: BlockDevice | None
    _first: tuple[float, DeviceCounters] | None = field(default=None, init=False)
    _last: tuple[float, DeviceCounters] | None = field(default=None, init=False)

    @classmethod
    def under(cls, target: str, path: str = "") -> DeviceMeter:
        """A meter on the device that holds `target`; it measures nothing when there is none.

        path: the one in use. A block device does not count commands that pass it by.
        """
        return cls(None if path.startswith("io_uring_cmd") else device_under(target))

    def restart(self) -> None:
        self._first = self._last = None

    def sample(self) -> None:
        counters = self.device.counters() if self.device else None
        if counters is None:
            return
        self._last = (time.monotonic(), counters)
        self._first = self._first or self._last

    def rate(self) -> DeviceRate | None:
        """Rates between the first and the last sample; None without two of them."""
        if self.device is None or self._first is None or self._last is None:
            return None
        (begin, before), (end, after) = self._first, self._last
        seconds = end - begin
        if seconds < _SHORTEST:
            return None
        return DeviceRate(
            device=self.device.name,
            bandwidth=(after.moved - before.moved) / seconds,
            commands=(after.commands - before.commands) / seconds,
            busy=min(1.0, (after.busy - before.busy) / seconds),
        )


@dataclass
class HelperMeter:
    """CPU of a process's io_uring threads (``iou-sqp-*``, ``iou-wrk-*``).

    Threads come and go, so every sample keeps the highest figure seen of each.
    """

    pid: int
    _base: dict[str, int] | None = field(default=None, init=False)
    _seen: dict[str, int] = field(default_factory=dict, init=False)
    _span: list[float] = field(default_factory=list, init=False)

    def sample(self) -> None:
        now = _helper_times(self.pid)
        if self._base is None:
            self._base = now
        self._seen.update(now)
        self._span = [*self._span[:1], time.monotonic()]

    def share(self) -> float:
        """CPUs kept busy by helpers, between the first and the last sample."""
        if self._base is None or len(self._span) < 2 or self._span[1] - self._span[0] < _SHORTEST:
            return 0.0
        used = sum(ns - self._base.get(tid, 0) for tid, ns in self._seen.items())
        return used * _NS / (self._span[1] - self._span[0])


def _helper_times(pid: int) -> dict[str, int]:
    """Nanoseconds on a CPU of each helper thread, from the scheduler's own accounting."""
    times: dict[str, int] = {}
    for task in Path(f"/proc/{pid}/task").glob("*"):
        if (read_text(task / "comm") or "").startswith("iou-"):
            fields = (read_text(task / "schedstat") or "").split()
            if fields:
                times[task.name] = int(fields[0])
    return times
