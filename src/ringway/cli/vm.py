"""``ringway vm``: a command in a machine with emulated NVMe drives."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from rich.table import Table

from .failures import DONE
from .interrupt import watching
from .params import TIME, ParamType
from .toolbox import Toolbox, pass_toolbox

_EPILOG = """
\b
Examples
  ringway vm                                           a shell
  ringway vm -- ls -l /dev/nvme0n1                     one drive, 512-byte blocks
  ringway vm --topology formats -- python -m pytest    512, 4096, and one with metadata
  ringway vm --results out -- ringway compare /dev/nvme0n1 --json out/run.json
  ringway vm --topology my-machine.toml --print        the exact QEMU command line

\b
The command sees this machine's files, and may change them: the changes are its own and
go with the machine. Only folders given with --results keep them.

\b
The exit status is the command's; 125 where the machine itself failed.
"""


class _TopologyName(ParamType):
    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from ringway.vm.topologies import topology_names

        return [CompletionItem(name) for name in topology_names() if name.startswith(incomplete)]


@click.command(
    epilog=_EPILOG,
    short_help="A command in a machine with emulated NVMe.",
    context_settings={"allow_interspersed_args": False},
)
@click.option(
    "--topology",
    "-t",
    type=_TopologyName(),
    default="basic",
    show_default=True,
    help="Drives and machine: a name of --list, or a file ending in .toml.",
)
@click.option(
    "--results",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="A folder whose changes are kept. May be repeated.",
)
@click.option(
    "--timeout", type=TIME, help="Longest the machine may run, such as 90s or 10m. [no limit]"
)
@click.option(
    "--kernel",
    type=click.Path(exists=True, path_type=Path),
    envvar="RINGWAY_VM_KERNEL",
    show_envvar=True,
    help="Kernel image, or folder of an unpacked kernel package. [the distribution's]",
)
@click.option(
    "--accel",
    type=click.Choice(["auto", "kvm", "tcg"]),
    default="auto",
    show_default=True,
    help="KVM or emulation; auto takes KVM where a guest really runs under it.",
)
@click.option(
    "--count-instructions",
    is_flag=True,
    help="Emulate on one CPU with a clock that counts instructions: 1 ns each.",
)
@click.option(
    "--log", type=click.Path(dir_okay=False, path_type=Path), help="Keep the guest's log."
)
@click.option("--print", "only_print", is_flag=True, help="Print the QEMU command line and stop.")
@click.option("--list", "only_list", is_flag=True, help="List the topologies and stop.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@pass_toolbox
def vm(toolbox: Toolbox, /, command: tuple[str, ...], only_list: bool, **options: Any) -> int:
    """Runs COMMAND in a machine with NVMe drives, an IOMMU and a kernel of its own.

    Its files, folder, environment and streams are those here. Without a COMMAND, at a terminal, it
    is a shell; Ctrl-] ends the machine from outside.
    """
    if only_list:
        _list(toolbox)
        return DONE
    from ringway.vm.terminal import at_terminal

    if not command and not options["only_print"] and not at_terminal():
        raise click.UsageError("give a command after --, for instance: ringway vm -- lsblk")
    return _run(command, **options)


def _shell(only_print: bool) -> list[str]:
    from ringway.vm.terminal import shell_command

    return ["true"] if only_print else shell_command()


def _list(toolbox: Toolbox) -> None:
    from ringway.vm.topologies import load_topology, topology_names

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name in topology_names():
        table.add_row(f"[bold]{name}[/]", load_topology(name).description)
    toolbox.console().print(table)


def _run(
    command: tuple[str, ...],
    *,
    topology: str,
    results: tuple[Path, ...],
    timeout: float | None,
    kernel: Path | None,
    accel: str,
    count_instructions: bool,
    log: Path | None,
    only_print: bool,
) -> int:
    from ringway.vm.host import find_host
    from ringway.vm.job import Job, environment_in
    from ringway.vm.run import command_line, run
    from ringway.vm.terminal import ESCAPE, raw_terminal
    from ringway.vm.topologies import load_topology

    job = Job(
        command=command or _shell(only_print),
        topology=load_topology(topology),
        directory=Path.cwd(),
        environment=environment_in(topology),
        results=[folder.resolve() for folder in results],
    )
    host = find_host(kernel, accel, count_instructions)
    if only_print:
        click.echo(shlex.join(command_line(host, job)))
        return DONE
    if host.acceleration.emulated:
        click.echo(f"ringway: emulating, tens of times slower: {host.acceleration.why}", err=True)
    deadline = None if timeout is None else time.monotonic() + timeout
    with watching() as interruption:
        if command:
            return run(host, job, deadline, log, lambda: interruption.wanted)
        with raw_terminal():
            return run(host, job, deadline, log, lambda: interruption.wanted, ESCAPE)
