"""What the user probably meant: the nearest of the words that would have been right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice closest to `word`, or None when nothing is close."""
    by_folded = {choice.lower(): choice for choice in choices}
    found = get_close_matches(word.lower(), by_folded, n=1, cutoff=0.55)
    return by_folded[found[0]] if found else None


def unknown(kind: str, word: str, choices: Iterable[str]) -> str:
    """A sentence for an unknown word: the nearest one, else all there are."""
    known = sorted(choices)
    close = nearest(word, known)
    hint = f"did you mean {close}?" if close else f"there are: {', '.join(known) or 'none'}"
    return f"unknown {kind} {word!r}; {hint}"
