"""(f) What it costs to keep memory alive while it is in flight."""

from __future__ import annotations

from cli import alone
from pairs import Figure, Goal, Sample, level
from peers import Loop
from session import Session

NAME = "lifetimes"
PATH = "io_uring+fixed"
BATCH = 256
DEPTH = 32
#: A few percent are looked for: many short pairs.
SLICES = 10


def measure(session: Session) -> list[Figure]:
    """≤ 3 %: the native loop as it is, beside the same without the counting of holders.

    The second is linked with a hold and a drop that do nothing. Reads of a page-cached file are
    the claim; over the null path there is nothing else to pay for, so its share is the largest.
    """
    checked, unchecked = session.program("bench-loop"), session.program("bench-loop-unheld")
    figures = []
    for target, path, depth, goal in (
        (session.cached_file(), PATH, DEPTH, Goal("≤", 3)),
        ("null:1GiB", "null", BATCH, None),
    ):
        ours, peer = f"C on {path}", "memory not held"
        samples = session.rounds(
            NAME,
            {
                ours: Loop(checked, target, path, BATCH, depth),
                peer: Loop(unchecked, target, path, BATCH, depth),
            },
            SLICES,
        )
        figures.append(_more(ours, peer, samples, goal))
    return figures


def _more(ours: str, peer: str, samples: dict[str, list[Sample]], goal: Goal | None) -> Figure:
    pairs = zip(samples[ours], samples[peer], strict=True)
    return Figure(
        command=NAME,
        ours=ours,
        peer=peer,
        unit="% more",
        values=[(our.cpu_ns / their.cpu_ns - 1) * 100 for our, their in pairs],
        goal=goal,
        our_level=level(samples[ours]),
        peer_level=level(samples[peer]),
    )


if __name__ == "__main__":
    alone(measure)
