"""Opening a target."""

from __future__ import annotations

import os
from errno import EINVAL

from ringway._native import ffi, lib
from ringway.device import Device
from ringway.errors import ArgumentError, check
from ringway.paths import UnknownPath, native_catalog, option_bits
from ringway.timeouts import DEFAULT_TIMEOUT, nanoseconds


def _path_words(text: str | None) -> tuple[str | None, int]:
    """Path name and option bits."""
    if text is None:
        return None, 0
    try:
        spec = native_catalog().parse(text)
    except UnknownPath as error:
        raise ArgumentError(EINVAL, str(error)) from None
    return spec.name, option_bits(spec)


def open(
    target: str | os.PathLike[str],
    path: str | None = None,
    *,
    writable: bool | None = None,
    direct: bool = True,
    timeout: float = DEFAULT_TIMEOUT,
) -> Device:
    """Opens a file, a block device, ``null:1GiB`` or ``mem:256MiB``.

    path: name of a path with options, as in ``io_uring+fixed+defer``; None takes the best that
    works here and `Device.why` says why. writable: False refuses writes; None means so for
    everything but ``null:`` and ``mem:``, which hold nothing of yours. A block device that is
    mounted, swap or held is never opened writable. direct: O_DIRECT, past the page cache.
    timeout: seconds, for calls that give none.

    Raises a `RingwayError` that says what is wrong and what to do.
    """
    name, bits = _path_words(path)
    text = os.fsdecode(target)
    if "\0" in text:
        raise ArgumentError(EINVAL, f"the target {text!r} holds a null byte; no file name does")
    if writable is None:
        writable = text.startswith(("null:", "mem:"))
    held = ffi.new("char[]", os.fsencode(text)), ffi.new("char[]", (name or "").encode())
    request = ffi.new(
        "struct rw_open_request *",
        {
            "target": held[0],
            "path": held[1] if name else ffi.NULL,
            "options": bits,
            "writable": writable,
            "direct": direct,
        },
    )
    nanoseconds(timeout)
    out = ffi.new("struct rw_device **")
    check(lib.rw_device_open(request, out))
    return Device(out[0], timeout)
