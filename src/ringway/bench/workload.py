"""What is asked of a path: the work, in fio's words."""

from __future__ import annotations

from typing import Literal

import msgspec

Pattern = Literal["read", "write", "rw", "randread", "randwrite", "randrw"]

PATTERNS: tuple[Pattern, ...] = ("read", "write", "rw", "randread", "randwrite", "randrw")
PATTERN_WORDS: dict[str, str] = {
    "read": "sequential reads",
    "write": "sequential writes",
    "rw": "sequential reads and writes",
    "randread": "random reads",
    "randwrite": "random writes",
    "randrw": "random reads and writes",
}
MAX_THREADS = 64
MAX_DEPTH = 4096


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One measured run. Sizes are bytes, times are seconds.

    Raises ValueError when the parts contradict each other.
    """

    rw: Pattern = "randread"
    #: Bytes per operation.
    bs: int = 4096
    #: Operations in flight per thread.
    depth: int = 32
    threads: int = 1
    #: Seconds that are measured; 0: until `total` bytes are moved.
    runtime: float = 3.0
    #: Seconds run before measuring begins.
    ramp: float = 0.5
    #: First byte of the range that is used.
    offset: int = 0
    #: Length of that range; 0: to the end of the target.
    span: int = 0
    #: Bytes to move; 0: by time only.
    total: int = 0
    #: Operations per second over all threads; 0: as many as there can be.
    rate: int = 0
    seed: int = 1
    #: Skew of the random offsets, 0 < zipf < 1; 0: uniform.
    zipf: float = 0.0
    #: Percent of reads in rw and randrw.
    mix: int = 50
    #: Write a pattern and check it on every read.
    verify: bool = False
    #: O_DIRECT: past the page cache.
    direct: bool = True
    #: Completions to wait for at once; 1: as they come.
    batch: int = 1
    #: First CPU the threads are pinned to; None: not pinned.
    cpu: int | None = None

    def __post_init__(self) -> None:
        for wrong, message in _contradictions(self):
            if wrong:
                raise ValueError(message)

    @property
    def random(self) -> bool:
        return self.rw.startswith("rand")

    @property
    def writes(self) -> bool:
        return self.rw not in ("read", "randread")

    @property
    def read_percent(self) -> int:
        """Share of reads: 100 for reads, 0 for writes, `mix` for both."""
        if not self.writes:
            return 100
        return self.mix if self.rw in ("rw", "randrw") else 0

    @property
    def seconds(self) -> float:
        """How long a run takes when it is bound by time."""
        return self.ramp + self.runtime


def _contradictions(w: Workload) -> list[tuple[bool, str]]:
    return [
        (w.bs < 1, "bs: at least one byte is needed, for instance 4k"),
        (not 1 <= w.depth <= MAX_DEPTH, f"depth: {w.depth} is outside 1 to {MAX_DEPTH}"),
        (not 1 <= w.threads <= MAX_THREADS, f"threads: {w.threads} is outside 1 to {MAX_THREADS}"),
        (w.runtime < 0, "runtime: a time is not negative"),
        (w.ramp < 0, "ramp: a time is not negative"),
        (w.runtime == 0 and w.total == 0, "runtime: give a runtime or a total, or it never ends"),
        (min(w.offset, w.span, w.total, w.rate, w.seed) < 0, _which_negative(w)),
        (0 < w.span < w.bs, f"span: {w.span} bytes hold no block of {w.bs}"),
        (not 0 <= w.zipf < 1, f"zipf: {w.zipf} is outside 0 to 1 (0: uniform)"),
        (w.zipf > 0 and not w.random, f"zipf: needs random offsets, and rw is {w.rw}"),
        (not 0 <= w.mix <= 100, f"mix: {w.mix} is not a percentage of reads"),
        (not 1 <= w.batch <= w.depth, f"batch: {w.batch} is outside 1 to depth ({w.depth})"),
        (w.cpu is not None and w.cpu < 0, "cpu: a CPU number is not negative"),
    ]


def _which_negative(w: Workload) -> str:
    names = ("offset", "span", "total", "rate", "seed")
    return next(
        (f"{name}: {getattr(w, name)} is negative" for name in names if getattr(w, name) < 0), ""
    )


def describe(w: Workload) -> str:
    """The workload in one line, for people."""
    from .units import format_seconds, format_size

    parts = [
        f"{format_size(w.bs)} {PATTERN_WORDS[w.rw]}",
        "O_DIRECT" if w.direct else "page-cached",
        f"depth {w.depth}",
        f"{w.threads} threads" if w.threads > 1 else "1 thread",
    ]
    if w.rw in ("rw", "randrw"):
        parts.append(f"{w.mix} % reads")
    if w.zipf:
        parts.append(f"zipf {w.zipf:g}")
    if w.rate:
        parts.append(f"at most {w.rate} per second")
    parts.append(format_seconds(w.runtime) if w.runtime else format_size(w.total))
    return ", ".join(parts)
