"""The options that shape a workload, shared by ``bench`` and ``compare``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ringway.bench.configs import ConfigError, WorkloadFile, workload_from

from .params import COUNT, SIZE, TIME, WORKLOAD

Command = TypeVar("Command", bound=Callable[..., Any])

_COMMON: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--workload",
        "file",
        type=WORKLOAD,
        help="A workload from configs/, or a TOML file; other options override it.",
    ),
    click.option(
        "--threads", type=COUNT, metavar="N", help="Threads, each with its own queue.  [1]"
    ),
    click.option(
        "--runtime",
        type=TIME,
        help="How long to measure: 3, 500ms, 1m.  [bench: 3; compare: what fits three minutes]",
    ),
    click.option("--ramp", type=TIME, help="How long to run before measuring."),
    click.option("--offset", type=SIZE, help="First byte of the range to use."),
    click.option("--span", type=SIZE, help="Length of the range; else to the end."),
    click.option("--total", type=SIZE, help="Stop after so many bytes."),
    click.option("--rate", type=COUNT, metavar="N", help="At most so many operations per second."),
    click.option("--batch", type=COUNT, metavar="N", help="Completions to wait for at once.  [1]"),
    click.option(
        "--mix",
        type=click.IntRange(0, 100),
        metavar="PERCENT",
        help="Share of reads in rw and randrw.  [50]",
    ),
    click.option(
        "--zipf",
        type=click.FloatRange(0, 1, max_open=True),
        metavar="THETA",
        help="Skew of random offsets, 0 (uniform) to 1.",
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), metavar="N", help="Of the random offsets.  [1]"
    ),
    click.option(
        "--cpu", type=str, metavar="N|any", help="First CPU to pin the threads to; any: do not pin."
    ),
    click.option(
        "--verify", is_flag=True, default=None, help="Write a pattern, and check it on every read."
    ),
    click.option(
        "--write", "allow_write", is_flag=True, help="Yes, this may overwrite the target."
    ),
)


def workload_options(command: Command) -> Command:
    """Adds the options that both commands have."""
    for option in reversed(_COMMON):
        command = option(command)
    return command


def fields_of(file: WorkloadFile | None, given: dict[str, Any]) -> dict[str, Any]:
    """Keys of the workload: what the file says, then what the command line says."""
    fields: dict[str, Any] = {}
    if file is not None:
        fields = {key: getattr(file.workload, key) for key in file.given}
    fields.update({key: value for key, value in given.items() if value is not None})
    if "cpu" in fields:
        fields["cpu"] = _cpu(fields["cpu"])
    return fields


def _cpu(text: str | int | None) -> int | None:
    if text in (None, "any"):
        return None
    try:
        return int(str(text))
    except ValueError:
        raise click.UsageError(f"--cpu {text}: give a number, or any") from None


def build(fields: dict[str, Any]) -> Any:
    """The Workload; a contradiction is bad usage."""
    try:
        return workload_from(fields, "options")
    except ConfigError as error:
        text = str(error).removeprefix("options: workload.").removeprefix("options: ")
        raise click.UsageError(text) from None


def require_write_flag(target: str, writes: bool, allowed: bool, scheme: str | None) -> None:
    """Nothing of the user's is overwritten unless asked for."""
    if writes and not allowed and scheme not in ("null", "mem"):
        raise click.UsageError(
            f"this workload overwrites {target}; add --write when its contents may be lost"
        )
