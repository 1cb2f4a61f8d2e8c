"""Machines with emulated NVMe drives, in QEMU, for tests and comparisons; ``ringway vm``."""
