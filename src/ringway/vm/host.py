"""What this host starts machines with: QEMU, a kernel, KVM or emulation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .acceleration import Acceleration, choose_acceleration
from .kernel import Kernel, find_kernel
from .qemu import Qemu, find_qemu


@dataclass(frozen=True)
class Host:
    """Found once, good for many machines."""

    qemu: Qemu
    kernel: Kernel
    acceleration: Acceleration
    #: Emulate on a clock that counts instructions.
    count_instructions: bool = False


def find_host(
    kernel: Path | None = None, acceleration: str = "auto", count_instructions: bool = False
) -> Host:
    """What there is. Raises UnavailableError that says what to install.

    kernel: as for `find_kernel`. acceleration: "auto", "kvm" or "tcg". count_instructions: the
    guest's clocks advance by 1 ns with every instruction, which only emulation can do.
    """
    qemu = find_qemu()
    chosen = find_kernel(kernel)
    if count_instructions:
        return Host(qemu, chosen, Acceleration("tcg", "only emulation counts instructions"), True)
    return Host(qemu, chosen, choose_acceleration(acceleration, qemu, chosen))
