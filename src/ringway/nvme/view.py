"""Controllers and what became of them, as text for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ringway.bench.units import format_size

from .giving import Outcome
from .listing import Listed, Listing
from .rules import DRIVERS, UNPROTECTED, Wish
from .sysfs import Controller, Member, Namespace


def listing_view(found: Listing) -> RenderableType:
    """One block per controller."""
    if not found.controllers:
        return Text("no NVMe controllers on the PCI bus")
    return Group(*(_block(entry) for entry in found.controllers))


def _block(entry: Listed) -> Table:
    table = Table(
        box=None, padding=(0, 2, 0, 2), title_justify="left", show_header=False, title=_title(entry)
    )
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in _facts(entry):
        table.add_row(name, value)
    return table


def _title(entry: Listed) -> Text:
    text = Text(entry.pci, "bold not italic")
    if drive := " ".join(word for word in (entry.model, entry.serial) if word):
        text.append(f"  {drive}", "not bold not italic")
    return text


def _facts(entry: Listed) -> list[tuple[str, RenderableType]]:
    facts: list[tuple[str, RenderableType]] = [("driver", _driver(entry))]
    facts.append(("IOMMU group", _group(entry)))
    if entry.numa_node is not None:
        facts.append(("NUMA node", str(entry.numa_node)))
    if entry.virtual_functions:
        facts.append(("functions", f"{entry.virtual_functions} virtual functions are on"))
    if entry.physical_function:
        facts.append(("function", f"virtual, of {entry.physical_function}"))
    facts += [(space_name(space), space_text(space)) for space in entry.namespaces]
    facts += [("in use", Text(use.text, "yellow")) for use in entry.uses]
    facts.append(("bind", _verdict(entry)))
    return facts


def _driver(entry: Listed) -> str:
    text = entry.driver or "none"
    if entry.name:
        text += f" ({entry.name}{'' if entry.state == 'live' else f', {entry.state}'})"
    if entry.borrower is not None:
        text += f", borrowed by process {entry.borrower}"
    elif entry.bound_by_ringway:
        text += f", bound by ringway; unbind returns it to {entry.original or 'no driver'}"
    return text


def _group(entry: Listed) -> str:
    if entry.iommu_group is None:
        return "none: nothing protects memory from the device"
    text = entry.iommu_group + (" (without an IOMMU)" if entry.noiommu else "")
    if entry.group:
        text += f", with {', '.join(map(_member, entry.group))}"
    return text


def _member(member: Member) -> str:
    return f"{member.pci} ({'bridge' if member.bridge else member.driver or 'no driver'})"


def space_name(space: Namespace) -> str:
    """What to call a namespace in a list."""
    return "namespace" if space.nsid is None else f"namespace {space.nsid}"


def space_text(space: Namespace) -> str:
    """Its devices and size."""
    devices = ", ".join(f"/dev/{name}" for name in space.nodes())
    if space.size is None:
        return devices
    blocks = f" in blocks of {space.block_size} bytes" if space.block_size else ""
    return f"{devices}: {format_size(space.size)}{blocks}"


def _verdict(entry: Listed) -> Text:
    if entry.driver in DRIVERS:
        return Text("done")
    if entry.bindable:
        return Text("possible", "green")
    return Text("; ".join(entry.hindrances), "red")


def plan_text(controller: Controller, wish: Wish) -> str:
    """What a binding is about to do."""
    text = f"{controller.title()}: from {controller.driver or 'no driver'} to {wish.driver}"
    shared = {name for space in controller.namespaces if space.path for name in space.nodes()}
    nodes = [f"/dev/{name}" for name in controller.nodes() if name not in shared]
    if nodes:
        text += f"; gone until it is given back: {', '.join(nodes)}"
    if wish.owner is not None:
        everything = " and with it the other devices of the group" if controller.group else ""
        text += f"; user {wish.owner} may then drive it{everything}"
    if wish.unsafe_no_iommu and (controller.iommu_group is None or controller.noiommu):
        text += f"; without an IOMMU: {UNPROTECTED}"
    return text


def bound_text(outcome: Outcome) -> str:
    """A binding that was done, or was there already."""
    done = "is now bound" if outcome.changed else "was bound already"
    return (
        f"{outcome.pci} {done} to {outcome.driver}, node {outcome.node or 'none'}\n"
        f"give it back with: ringway nvme unbind {outcome.pci}"
    )


def back_text(outcome: Outcome) -> str:
    """A way back that was done, or was not needed."""
    if outcome.changed:
        text = f"{outcome.pci} is back with {outcome.driver or 'no driver'}"
    else:
        text = f"{outcome.pci} stays with {outcome.driver or 'no driver'}"
    if outcome.blocks:
        text += f": {', '.join(f'/dev/{name}' for name in outcome.blocks)}"
    return "\n".join([text, *outcome.notes])
