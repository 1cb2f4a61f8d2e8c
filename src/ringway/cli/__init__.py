"""The command line: ``ringway bench``, ``compare``, ``doctor`` and the small commands."""

from __future__ import annotations

from .app import main

__all__ = ["main"]
