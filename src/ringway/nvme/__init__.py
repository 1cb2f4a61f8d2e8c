"""NVMe controllers: who drives them, and the way to a program and back.

    with ringway.nvme.borrowed("0000:01:00.0") as loan:
        ...  # loan.node is the controller's VFIO group

`controllers` reads sysfs, `Lender` binds and gives back, `borrowed` does both around a block.
"""

from .giving import Outcome
from .host import Host
from .lending import Lender, borrowed
from .rules import Wish
from .sysfs import Controller, Member, Namespace, controllers

__all__ = [
    "Controller",
    "Host",
    "Lender",
    "Member",
    "Namespace",
    "Outcome",
    "Wish",
    "borrowed",
    "controllers",
]
