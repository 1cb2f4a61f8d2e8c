"""``ringway nvme``: who drives which NVMe controller, and hand-over to programs and back."""

from __future__ import annotations

import pwd
import shutil
from typing import TYPE_CHECKING, Any

import click
import msgspec
from click.shell_completion import CompletionItem

from .failures import DONE, FAILED, describe_failure
from .params import TIME, ParamType
from .toolbox import Toolbox, pass_toolbox

if TYPE_CHECKING:
    from ringway.nvme import Lender, Outcome, Wish

_TIMEOUT = 30.0

_EPILOG = """
\b
Examples
  ringway nvme list
  ringway nvme bind 0000:01:00.0 --owner alice
  ringway nvme bind 0000:01:00.0 -- ./my-driver-test
  ringway nvme unbind 0000:01:00.0
  ringway nvme restore
"""

_BIND_EPILOG = """
\b
Examples
  ringway nvme bind 0000:01:00.0 --dry-run      what it would do, or what stands against it
  ringway nvme bind 0000:01:00.0 --owner alice  alice's programs need no root from then on
  ringway nvme bind 0000:01:00.0 -- COMMAND     bound while COMMAND runs, given back behind it
"""


class _Address(ParamType):
    """The PCI address of a controller; completed from those there are."""

    name = "pci"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from ringway.nvme.host import pci_address

        try:
            return pci_address(str(value))
        except ValueError as error:
            self.fail(getattr(error, "strerror", str(error)), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from ringway.nvme import controllers

        found = controllers(lender(0.0).host)
        return [
            CompletionItem(entry.pci, help=entry.model or entry.driver or "")
            for entry in found
            if entry.pci.startswith(incomplete)
        ]


class _User(ParamType):
    """A user by name or number."""

    name = "user"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return int(value) if value.isdecimal() else pwd.getpwnam(value).pw_uid
        except KeyError:
            self.fail(f"there is no user {value!r} here", param, ctx)


def lender(timeout: float) -> Lender:
    """What does the work; tests put one for a machine of their own here."""
    from ringway.nvme import Lender

    return Lender(timeout=timeout)


ADDRESS = _Address()
USER = _User()
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_timeout = click.option(
    "--timeout",
    type=TIME,
    default=_TIMEOUT,
    show_default=True,
    help="The longest that the kernel may take.",
)


@click.group(epilog=_EPILOG, short_help="NVMe controllers: who drives them, and hand-over.")
def nvme() -> None:
    """Shows who drives which NVMe controller, hands one to programs, and back.

    What is handed over is kept in a journal. A loan whose owner was killed is given back when
    any of these commands starts.
    """


@nvme.command("list", short_help="Controllers, drivers, IOMMU groups, and who uses them.")
@click.option("--json", "as_json", is_flag=True, help="Print the document as JSON.")
@pass_toolbox
def list_(toolbox: Toolbox, as_json: bool) -> int:
    """Lists every NVMe controller: driver, IOMMU group, namespaces, uses, and whether it may be
    bound. Needs no root, but without it sees only your own processes."""
    from ringway.nvme.listing import listing
    from ringway.nvme.view import listing_view

    desk = _begin(_TIMEOUT)
    found = listing(desk.host, desk.journal.folder)
    if as_json:
        _print_json(found)
    else:
        toolbox.console().print(listing_view(found))
    return DONE


@nvme.command(epilog=_BIND_EPILOG, short_help="Hand a controller to programs.")
@click.argument("pci", type=ADDRESS)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--driver",
    type=click.Choice(["vfio-pci", "uio_pci_generic"]),
    default="vfio-pci",
    show_default=True,
    help="The driver that hands it on.",
)
@click.option("--owner", type=USER, help="The user, by name or number, to own its VFIO group.")
@click.option(
    "--unsafe-no-iommu",
    is_flag=True,
    help="Go without an IOMMU: the device can then read and write all memory.",
)
@click.option("--dry-run", is_flag=True, help="Tell what would be done, or why it cannot be.")
@_timeout
@_as_json
def bind(
    pci: str,
    command: tuple[str, ...],
    driver: str,
    owner: int | None,
    unsafe_no_iommu: bool,
    dry_run: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Takes the controller PCI from its driver, so that programs can drive it.

    It stays so until 'ringway nvme unbind'. With a COMMAND behind -- it is bound while that runs,
    and the exit status is the command's.

    A controller is refused that is mounted, swap, part of a volume, opened by a process, or that
    shares its IOMMU group with a device in use.
    """
    from ringway.nvme import Wish

    wish = Wish(driver=driver, owner=owner, unsafe_no_iommu=unsafe_no_iommu)
    if command:
        _require_command(command, as_json or dry_run)
    desk = _begin(timeout)
    _tell_plan(desk, pci, wish)
    if dry_run:
        return DONE
    if command:
        return _bind_for(desk, pci, wish, command)
    _print_outcome(desk.bind(pci, wish), as_json, bound=True)
    return DONE


@nvme.command(short_help="Give a controller back to its driver.")
@click.argument("pci", type=ADDRESS)
@_timeout
@_as_json
def unbind(pci: str, timeout: float, as_json: bool) -> int:
    """Gives the controller PCI back to the driver it had, else to the kernel's own.

    It is refused while a program drives it.
    """
    _print_outcome(_begin(timeout).unbind(pci), as_json)
    return DONE


@nvme.command(short_help="Give back everything that ringway has bound.")
@click.argument("pci", type=ADDRESS, nargs=-1)
@_timeout
@_as_json
def restore(pci: tuple[str, ...], timeout: float, as_json: bool) -> int:
    """Gives back the controllers PCI, or all in the journal; loans of living processes stay."""
    desk = lender(timeout)
    back, failed = desk.recover()
    done = {outcome.pci for outcome in back}
    for address in pci or desk.journal.addresses():
        try:
            if address not in done:
                back.append(desk.unbind(address))
        except OSError as error:
            failed.append(describe_failure(error)[0])
    if as_json:
        _print_json({"schema": "ringway.nvme.restore/1", "back": back, "failed": failed})
    elif not back and not failed:
        click.echo(_nothing_to_give_back(desk))
    else:
        _print_back(back)
    for text in dict.fromkeys(failed):
        click.echo(f"ringway: {text}", err=True)
    return FAILED if failed else DONE


def _nothing_to_give_back(desk: Lender) -> str:
    from ringway.nvme.journal import SYSTEM_FOLDER, Journal

    others = Journal(desk.host, SYSTEM_FOLDER).addresses()
    if desk.journal.folder == SYSTEM_FOLDER or not others:
        return "nothing to give back"
    return f"nothing of yours to give back; root has bound {', '.join(others)}: run it as root"


def _begin(timeout: float) -> Lender:
    """What every command starts with: loans whose owners are dead go back."""
    desk = lender(timeout)
    done, failed = desk.recover()
    for outcome in done:
        click.echo(f"left by a process that was killed: {_back_text(outcome)}", err=True)
    for text in failed:
        click.echo(f"ringway: left by a process that was killed: {text}", err=True)
    return desk


def _tell_plan(desk: Lender, pci: str, wish: Wish) -> None:
    """What is about to be done, unless it is refused or was done already."""
    from ringway.nvme.rules import refuse, require
    from ringway.nvme.sysfs import read_controller
    from ringway.nvme.view import plan_text

    require(desk.host, pci)
    controller = read_controller(desk.host, pci)
    if controller.driver != wish.driver:
        refuse(controller, desk.examine(controller, wish))
        click.echo(plan_text(controller, wish), err=True)


def _require_command(command: tuple[str, ...], other: bool) -> None:
    if other:
        raise click.UsageError("--json and --dry-run do not go with a COMMAND")
    if shutil.which(command[0]) is None:
        raise click.UsageError(f"there is no command {command[0]!r} to run")


def _bind_for(desk: Lender, pci: str, wish: Wish, command: tuple[str, ...]) -> int:
    from ringway.nvme.command import relayed

    with relayed() as relay:
        loan = desk.bind(pci, wish, loan=True)
        try:
            return relay.run(command)
        finally:
            if loan.changed and (back := desk.end_loan(pci)):
                click.echo(_back_text(back), err=True)


def _print_outcome(outcome: Outcome, as_json: bool, *, bound: bool = False) -> None:
    from ringway.nvme.view import bound_text

    if as_json:
        document = {"schema": "ringway.nvme.outcome/1", **msgspec.structs.asdict(outcome)}
        _print_json(document)
    elif bound:
        click.echo(bound_text(outcome))
    else:
        _print_back([outcome])


def _print_back(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        click.echo(_back_text(outcome))


def _back_text(outcome: Outcome) -> str:
    from ringway.nvme.view import back_text

    return back_text(outcome)


def _print_json(document: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
