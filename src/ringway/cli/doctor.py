"""``ringway doctor``: what works on this machine, or why not and what to do."""

from __future__ import annotations

import os
from typing import Any

import click
import msgspec
from rich.table import Table
from rich.text import Text

from .failures import DONE, FAILED
from .toolbox import Toolbox, pass_toolbox

_EPILOG = """
\b
Examples
  ringway doctor
  ringway doctor /dev/nvme0n1
  ringway doctor data.bin --json
"""


@click.command(epilog=_EPILOG, short_help="What works here, and why not.")
@click.argument("target", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@pass_toolbox
def doctor(toolbox: Toolbox, target: str | None, as_json: bool) -> int:
    """Tells which paths are usable, for TARGET or in general, and where not, what to do."""
    from ringway.doctor import examine

    _require(toolbox, target)
    findings = examine(target)
    if as_json:
        text = msgspec.json.format(msgspec.json.encode(findings), indent=2)
        click.echo(text.decode())
    else:
        toolbox.console().print(_table(findings))
    paths = [finding for finding in findings if finding.path in toolbox.catalog().names()]
    return DONE if any(finding.usable for finding in paths) else FAILED


def _require(toolbox: Toolbox, target: str | None) -> None:
    """A target that does not exist is a mistake, not a finding."""
    if target and toolbox.catalog().scheme_of(target) is None and not os.path.lexists(target):
        raise click.UsageError(f"{target} does not exist")


def _table(findings: list[Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "path", "with", "finding"):
        table.add_column(name, no_wrap=name != "finding")
    last = None
    for finding in findings:
        if last not in (None, finding.path):
            table.add_section()
        table.add_row(
            Text("yes", "green") if finding.usable else Text("no", "bold red"),
            Text(finding.path if finding.path != last else "", "bold"),
            finding.options,
            _finding(finding),
        )
        last = finding.path
    return table


def _finding(finding: Any) -> Text:
    text = Text(finding.reason)
    if finding.advice:
        text.append(f"\n{finding.advice}", "yellow")
    return text
