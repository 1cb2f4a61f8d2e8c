"""Machines with emulated NVMe drives, in QEMU, for tests and comparisons; ``ringway vm``."""

#: The variable that is set in every machine: its topology's name, or the file that it is in.
IN_MACHINE = "RINGWAY_VM"
