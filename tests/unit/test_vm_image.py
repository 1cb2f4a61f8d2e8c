"""What is read out of kernel images; the images are made here."""

from __future__ import annotations

import lzma
import zlib
from pathlib import Path

import pytest
from kernel_images import ELF, NOTE, bz_image

from ringway.vm.errors import UnavailableError
from ringway.vm.image import kernel_release, uncompressed


def image(tmp_path: Path, data: bytes) -> Path:
    file = tmp_path / "vmlinuz"
    file.write_bytes(data)
    return file


def test_the_release_is_the_first_word(tmp_path: Path) -> None:
    assert kernel_release(image(tmp_path, bz_image(b""))) == "6.1.0-9-amd64"


def test_what_is_no_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no x86 Linux kernel"):
        kernel_release(image(tmp_path, b"#!/bin/sh\n"))


def test_an_image_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be read: No such file"):
        kernel_release(tmp_path / "nothing")


def gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("pack", [lzma.compress, gzip])
def test_the_kernel_inside_is_unpacked(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    # The payload ends with the length of the kernel, which the packer did not write.
    assert uncompressed(image(tmp_path, bz_image(pack(ELF) + b"\x12\0\0\0"))) == ELF


def test_an_uncompressed_kernel_is_taken_as_it_is(tmp_path: Path) -> None:
    assert uncompressed(image(tmp_path, ELF)) == ELF


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x28\xb5\x2f\xfd" + bytes(100), id="zstd"),
        pytest.param(lzma.compress(b"\x7fELF without an entry for PVH"), id="no PVH"),
        pytest.param(lzma.compress(b"no program at all" + NOTE), id="no ELF"),
        pytest.param(lzma.compress(ELF)[:20] + bytes(100), id="damaged"),
    ],
)
def test_what_cannot_be_started_uncompressed_is_left_packed(tmp_path: Path, payload: bytes) -> None:
    assert uncompressed(image(tmp_path, bz_image(payload))) is None
