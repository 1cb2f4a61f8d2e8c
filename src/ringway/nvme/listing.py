"""What ``ringway nvme list`` tells: every controller, who has it, and whether it may be bound."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import msgspec

from .descriptors import Opened, having, open_devices
from .host import Host
from .inuse import Use, claim_all, uses_of
from .journal import SYSTEM_FOLDER, Journal, Record, default_folder
from .rules import DRIVERS, Wish, hindrances, user_nodes
from .sysfs import Controller, controllers

SCHEMA = "ringway.nvme.list/1"


class Listed(Controller, frozen=True, kw_only=True):
    """A controller, with what is known beside what sysfs says."""

    uses: list[Use] = msgspec.field(default_factory=list)
    #: Whether ``bind`` to vfio-pci would be possible, and if not, why.
    bindable: bool = False
    hindrances: list[str] = msgspec.field(default_factory=list)
    #: The process that has borrowed it.
    borrower: int | None = None
    #: ringway has bound it, and gives it back to this driver; None: to none.
    bound_by_ringway: bool = False
    original: str | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """What ``ringway nvme list --json`` prints."""

    controllers: list[Listed]


def listing(host: Host, folder: Path | None = None) -> Listing:
    """All NVMe controllers of the machine, with what the journals in `folder` and of root say.

    Changes nothing and needs no rights; without root, processes of other users are not seen.
    """
    opened = open_devices(host)
    journals = [Journal(host, place) for place in (folder or default_folder(), SYSTEM_FOLDER)]
    return Listing(
        controllers=[
            _listed(host, controller, opened, _record(journals, controller.pci))
            for controller in controllers(host)
        ]
    )


def _record(journals: list[Journal], address: str) -> Record | None:
    for journal in journals:
        try:
            if record := journal.read(address):
                return record
        except OSError:
            # A record that cannot be read is for restore to complain about.
            continue
    return None


def _listed(
    host: Host, controller: Controller, opened: list[Opened], record: Record | None
) -> Listed:
    lent = controller.driver in DRIVERS
    uses = _programs(host, controller, opened) if lent else _uses(host, controller, opened)
    found = [] if lent else hindrances(host, controller, Wish(), opened, uses)
    fields = msgspec.structs.asdict(controller)
    if record:
        fields["model"] = controller.model or record.model
        fields["serial"] = controller.serial or record.serial
    return Listed(
        **fields,
        uses=uses,
        bindable=not found and not lent,
        hindrances=[hindrance.text for hindrance in found],
        borrower=record.owner.pid if record and record.owner else None,
        bound_by_ringway=record is not None,
        original=record.original if record else None,
    )


def _programs(host: Host, controller: Controller, opened: list[Opened]) -> list[Use]:
    """Who drives it, as far as can be told without opening its group."""
    return [
        Use(kind="open", device=name, text=text)
        for name in user_nodes(host, controller)
        for text in having(host, name, opened)
    ]


def _uses(host: Host, controller: Controller, opened: list[Opened]) -> list[Use]:
    return uses_of(host, controller, opened) or _claims(host, controller)


def _claims(host: Host, controller: Controller) -> list[Use]:
    """What the kernel holds without saying so, where this user may try."""
    with ExitStack() as claims:
        try:
            use = claim_all(host, controller, claims)
        except OSError:
            return []
    return [use] if use else []
