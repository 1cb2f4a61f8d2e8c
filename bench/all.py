"""Ringway beside its peers: every comparison, or the named ones, in interleaved pairs."""

from __future__ import annotations

import sys
from typing import Any

import aio
import boot
import bulk
import cached
import click
import core
import instrument
import lifetimes
import sync
from cli import Measure, compare, options

MEASURES: dict[str, Measure] = {
    module.NAME: module.measure
    for module in (core, cached, sync, aio, bulk, lifetimes, instrument, boot)
}


@click.command(help=__doc__)
@click.argument("names", nargs=-1, metavar="[NAME]…", type=click.Choice(list(MEASURES)))
@options
def main(names: tuple[str, ...], **given: Any) -> None:
    sys.exit(compare({name: MEASURES[name] for name in names or MEASURES}, **given))


if __name__ == "__main__":
    main()
