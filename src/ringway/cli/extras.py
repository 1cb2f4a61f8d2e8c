"""The small commands: completion, schema, workloads, and a report from a record."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from click.shell_completion import get_completion_class
from rich.table import Table

from ringway.bench.configs import load_workload, workload_names
from ringway.bench.record import DOCUMENTS, BenchDocument, Comparison, from_json, json_schema
from ringway.bench.report import bench_view, comparison_view, plotting_missing, to_csv, to_html
from ringway.bench.workload import describe

from .toolbox import Toolbox, pass_toolbox

_COMPLETION_EPILOG = """
\b
To switch it on
  bash   ringway completion bash > ~/.local/share/bash-completion/completions/ringway
  zsh    ringway completion zsh > ~/.zfunc/_ringway      (with ~/.zfunc in fpath)
  fish   ringway completion fish > ~/.config/fish/completions/ringway.fish
"""


@click.command(epilog=_COMPLETION_EPILOG, short_help="The shell's completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Prints the completion script for a shell."""
    kind = get_completion_class(shell)
    root = ctx.find_root()
    if kind is None:
        raise click.ClickException(f"no completion for {shell}")
    click.echo(kind(root.command, {}, "ringway", "_RINGWAY_COMPLETE").source())


@click.command(short_help="The JSON Schema of the documents.")
@click.argument("kind", type=click.Choice(sorted(DOCUMENTS)))
def schema(kind: str) -> None:
    """Prints the JSON Schema of the documents that bench and compare write."""
    click.echo(msgspec.json.format(msgspec.json.encode(json_schema(kind)), indent=2).decode())


@click.command(short_help="The workloads for --workload.")
@pass_toolbox
def workloads(toolbox: Toolbox) -> None:
    """Lists the workloads for --workload."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name in workload_names():
        file = load_workload(name)
        table.add_row(f"[bold]{name}[/]", f"{file.description}\n[dim]{describe(file.workload)}[/]")
    toolbox.console().print(table)


@click.command(short_help="A record that was written before, as table or page.")
@click.argument("record", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the page."
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one line per run.",
)
@pass_toolbox
def report(toolbox: Toolbox, record: Path, html_file: Path | None, csv_file: Path | None) -> None:
    """Shows a RECORD that bench or compare wrote, or makes a page of it."""
    document = _read(record)
    if isinstance(document, BenchDocument):
        toolbox.console().print(bench_view(document))
        return
    _export(document, html_file, csv_file)
    if not html_file and not csv_file:
        toolbox.console().print(comparison_view(document))


def _read(record: Path) -> BenchDocument | Comparison:
    try:
        return from_json(record.read_bytes())
    except msgspec.DecodeError as error:
        raise click.UsageError(f"{record} is no record of ringway's: {error}") from None


def _export(document: Comparison, html_file: Path | None, csv_file: Path | None) -> None:
    if html_file:
        if missing := plotting_missing():
            raise click.UsageError(f"--html: {missing}")
        html_file.write_text(to_html(document))
    if csv_file:
        csv_file.write_text(to_csv(document))
