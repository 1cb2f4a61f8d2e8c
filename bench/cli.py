"""The command line that all.py and the single comparisons share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
from pairs import Figure, Refused
from report import Report, markdown, table
from rich.console import Console
from session import Session

#: Makes the comparisons of one command.
Measure = Callable[[Session], list[Figure]]


def _usable(cpu: int | None) -> int | None:
    usable = sorted(os.sched_getaffinity(0))
    if cpu is not None and cpu not in usable:
        raise click.BadParameter(f"CPU {cpu} is none of those this process may use: {usable}")
    return cpu


_OPTIONS = [
    click.option("--pairs", default=5, show_default=True, type=click.IntRange(1),
                 help="Rounds of A B."),
    click.option("--seconds", default=1.0, show_default=True, type=click.FloatRange(0.01),
                 help="Length of one run."),
    click.option("--size", "mebibytes", default=256, show_default=True,
                 type=click.IntRange(32), help="MiB of the scratch file."),
    click.option("--cpu", type=click.IntRange(0), callback=lambda *given: _usable(given[2]),
                 help="CPU to pin to; else the last one."),
    click.option("--build", type=click.Path(path_type=Path, file_okay=False),
                 help="Build directory of the native programs; else build/ of this repository."),
    click.option("--t-io-uring", type=click.Path(path_type=Path, exists=True, dir_okay=False),
                 help="fio's t/io_uring; it is no part of Debian's package."),
    click.option("--json", "json_file", type=click.File("wb"), help="Write the figures there."),
    click.option("--markdown", "as_markdown", is_flag=True,
                 help="Print the table that README.md has."),
]  # fmt: skip


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a click command the options of every comparison."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def alone(measure: Measure) -> None:
    """Runs one comparison as a program."""
    name = Path(sys.argv[0]).stem

    @click.command(help=measure.__doc__)
    @options
    def command(**given: Any) -> None:
        sys.exit(compare({name: measure}, **given))

    command()


def compare(
    measures: Mapping[str, Measure],
    json_file: Any,
    as_markdown: bool,
    **given: Any,
) -> int:
    """Makes the comparisons and prints what came out; 1 when one of them was refused."""
    errors = Console(stderr=True)
    report = Report.begun()
    with errors.status("") as status, _session(given, status.update) as session:
        for name, measure in measures.items():
            try:
                report.figures += measure(session)
            except Refused as refusal:
                report.refused[name] = str(refusal)
    print(markdown(report)) if as_markdown else Console().print(table(report))
    for name, reason in report.refused.items():
        errors.print(f"[red]{name}: {reason}", highlight=False)
    if json_file:
        json_file.write(msgspec.json.format(msgspec.json.encode(report)))
    return 1 if report.refused else 0


def _session(given: dict[str, Any], tell: Callable[[str], None]) -> Session:
    size = given.pop("mebibytes") << 20
    return Session(size=size, tell=tell, **{k: v for k, v in given.items() if v is not None})
