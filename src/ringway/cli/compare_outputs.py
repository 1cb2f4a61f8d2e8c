"""The files that ``ringway compare`` writes: the record, the page, a line per run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click

from ringway.bench.record import Comparison, to_json
from ringway.bench.report import plotting_missing, to_csv, to_html

_REPORT = "ringway-report"


@dataclass(frozen=True)
class Outputs:
    """Files to write; None: not asked for."""

    json: Path | None
    csv: Path | None
    html: Path | None


def outputs_of(target: str | None, asked: Outputs) -> Outputs:
    """Where to write; a page that cannot be made is refused before anything is measured."""
    missing = plotting_missing()
    if asked.html and missing:
        raise click.UsageError(f"--html: {missing}")
    for place in (asked.json, asked.csv, asked.html):
        if place == Path("-"):
            raise click.UsageError("name a file; bench --json is what writes to standard output")
        if place is not None and not os.access(place.parent, os.W_OK):
            raise click.UsageError(f"{place}: its directory cannot be written to")
    if target is not None:
        return asked
    if missing:
        click.echo(f"ringway: no page will be made: {missing}", err=True)
    return Outputs(
        json=asked.json or Path(f"{_REPORT}.json"),
        csv=asked.csv,
        html=asked.html or (None if missing else Path(f"{_REPORT}.html")),
    )


def write(comparison: Comparison, outputs: Outputs) -> list[Path]:
    """Writes what was asked for; the names of the files."""
    written = []
    if outputs.json:
        outputs.json.write_bytes(to_json(comparison))
        written.append(outputs.json)
    if outputs.csv:
        outputs.csv.write_text(to_csv(comparison))
        written.append(outputs.csv)
    if outputs.html:
        outputs.html.write_text(to_html(comparison))
        written.append(outputs.html)
    return written
