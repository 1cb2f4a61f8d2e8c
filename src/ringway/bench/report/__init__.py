"""Records as text: a table for the terminal, CSV, and a page that needs no network."""

from __future__ import annotations

from .csv import to_csv
from .html import plotting_missing, to_html
from .table import bench_view, comparison_view

__all__ = ["bench_view", "comparison_view", "plotting_missing", "to_csv", "to_html"]
