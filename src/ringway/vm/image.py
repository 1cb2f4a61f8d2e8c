"""What is inside a kernel image: its release, and the uncompressed kernel.

QEMU starts an uncompressed kernel through its PVH entry at once; an emulated machine takes seconds
to decompress one itself. Layout: The Linux/x86 Boot Protocol (Documentation/arch/x86/boot.rst).
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from .errors import UnavailableError

_MAGIC_AT, _MAGIC = 0x202, b"HdrS"
_VERSION_AT = 0x20E
_SETUP_SECTORS_AT = 0x1F1
_PAYLOAD_AT = 0x248  # payload_offset, payload_length: protocol 2.08
_PVH_NOTE = struct.pack("<III4s", 4, 8, 18, b"Xen\0")  # XEN_ELFNOTE_PHYS32_ENTRY, 64-bit


def kernel_release(image: Path) -> str:
    """The release, as uname(2) tells it. Raises UnavailableError for what is no x86 kernel."""
    head = _read(image, 64 << 10)
    if head[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC:
        raise UnavailableError(f"{image} is no x86 Linux kernel (vmlinuz, bzImage)")
    at = struct.unpack_from("<H", head, _VERSION_AT)[0] + 0x200
    words = head[at : at + 256].split(b"\0", 1)[0].split()
    if not words:
        raise UnavailableError(f"{image} does not tell its release")
    return words[0].decode(errors="replace")


def uncompressed(image: Path) -> bytes | None:
    """The ELF kernel inside, None where its compression is not known here or PVH is missing."""
    data = _read(image)
    if data[:4] == b"\x7fELF":
        return data if _PVH_NOTE in data else None
    offset, length = struct.unpack_from("<II", data, _PAYLOAD_AT)
    start = (data[_SETUP_SECTORS_AT] + 1) * 512 + offset
    unpack = _unpacker(data[start : start + 6])
    if unpack is None:
        return None
    try:
        kernel = unpack(data[start : start + length])
    except (lzma.LZMAError, zlib.error, EOFError):
        return None
    return kernel if kernel[:4] == b"\x7fELF" and _PVH_NOTE in kernel else None


def _unpacker(magic: bytes) -> Callable[[bytes], bytes] | None:
    if magic == b"\xfd7zXZ\0":
        return lambda data: lzma.LZMADecompressor().decompress(data)
    if magic[:2] == b"\x1f\x8b":
        return lambda data: zlib.decompressobj(wbits=31).decompress(data)
    return None


def _read(image: Path, size: int = -1) -> bytes:
    try:
        with open(image, "rb") as file:
            return file.read(size)
    except OSError as error:
        raise UnavailableError(f"the kernel {image} cannot be read: {error.strerror}") from error
