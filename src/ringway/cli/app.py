"""The group of commands, and the way out: every error one line, every ending a status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import click

from .bench import bench
from .compare import compare
from .doctor import doctor
from .extras import completion, report, schema, workloads
from .failures import Stopped, describe_failure
from .nvme import nvme
from .toolbox import Toolbox
from .vm import vm

_EPILOG = """
\b
Begin with
  ringway compare                      which path is worth it on this machine's disk
  ringway compare /dev/nvme0n1         the same on a drive; nothing is written
  ringway doctor                       what works here, and why not
"""


class _Commands(click.Group):
    """Suggests the nearest command for one that does not exist."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from ringway.nearest import unknown

        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise click.UsageError(unknown("command", args[0], self.list_commands(ctx)), ctx)
        return super().resolve_command(ctx, args)


def _version() -> str:
    try:
        return version("ringway")
    except PackageNotFoundError:
        return "not installed"


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.version_option(_version(), prog_name="ringway")
def cli() -> None:
    """Block I/O on every path a Linux machine offers, and which of them is worth it."""


for _command in (bench, compare, doctor, completion, nvme, report, schema, vm, workloads):
    cli.add_command(_command)


def run(arguments: Sequence[str] | None = None, toolbox: Toolbox | None = None) -> int:
    """One command, and its exit status: 0 done, 1 the I/O failed, 2 bad usage, 130 Ctrl-C."""
    try:
        result = cli.main(
            args=list(arguments) if arguments is not None else None,
            prog_name="ringway",
            standalone_mode=False,
            obj=toolbox or Toolbox(),
        )
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        click.echo(f"ringway: {_usage(error)}", err=True)
        return 2
    except (KeyboardInterrupt, click.Abort, Stopped):
        click.echo("ringway: interrupted", err=True)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; keep the interpreter from saying so as well.
        sys.stderr.close()
        return 1
    except Exception as error:
        text, status = describe_failure(error)
        click.echo(f"ringway: {text}", err=True)
        return status


def _open_standard_descriptors() -> None:
    """Of those that are closed, so that no file of ours becomes the caller's standard output."""
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            return


def _usage(error: click.UsageError) -> str:
    """One line: what was wrong, and where the right use is told."""
    text = " ".join(error.format_message().split()).rstrip(".")
    command = error.ctx.command_path if error.ctx else "ringway"
    return f"{text} (see '{command} --help')"


def main() -> None:
    """The entry point of the ``ringway`` command."""
    _open_standard_descriptors()
    sys.exit(run())
