"""Kernel images as small as can be."""

from __future__ import annotations

import struct

NOTE = struct.pack("<III4s", 4, 8, 18, b"Xen\0")
ELF = b"\x7fELF" + bytes(60) + NOTE + b"the kernel"


def bz_image(payload: bytes, release: bytes = b"6.1.0-9-amd64 (someone@somewhere) #1") -> bytes:
    """A bzImage with one set-up sector beside the boot sector."""
    setup = bytearray(2 * 512)
    setup[0x1F1] = 1
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x20E, 0x300 - 0x200)
    struct.pack_into("<II", setup, 0x248, 16, len(payload))
    setup[0x300 : 0x300 + len(release) + 1] = release + b"\0"
    return bytes(setup) + bytes(16) + payload + b"trailer"
