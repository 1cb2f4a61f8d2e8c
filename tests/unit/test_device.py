"""Devices in memory: what they say of themselves, and reads of any bytes."""

from __future__ import annotations

import gc
import inspect
import pathlib

import pytest

import ringway
from ringway.device import _open_devices


def test_a_target_may_be_a_path_object(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"data")
    for target in (path, str(path), pathlib.PurePath(path)):
        with ringway.open(target, direct=False) as dev:
            assert dev.target == str(path)
            assert dev.read(0, 4) == b"data"


def test_a_name_that_is_not_text_of_this_locale(tmp_path):
    name = tmp_path / b"\xff\xfe".decode(errors="surrogateescape")
    name.write_bytes(b"data")
    with ringway.open(name, direct=False) as dev:
        assert dev.target == str(name)


def test_a_name_with_a_colon_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:b").write_bytes(b"data")
    with ringway.open("a:b", direct=False) as dev:
        assert dev.read(0, 4) == b"data"


def test_memory_is_writable_and_files_are_not_unless_asked(tmp_path):
    (tmp_path / "file").write_bytes(bytes(4096))
    with ringway.open("mem:1MiB") as memory, ringway.open(tmp_path / "file") as file:
        assert (memory.writable, file.writable) == (True, False)
    with ringway.open("mem:1MiB", writable=False) as memory:
        assert not memory.writable


def test_what_a_device_says_of_itself():
    with ringway.open("mem:1MiB") as dev:
        assert repr(dev) == "<Device mem:1MiB on mem>"
        assert (dev.size, dev.path, dev.options, dev.synchronous) == (1 << 20, "mem", (), True)
        with dev.queue(4) as queue:
            assert repr(queue) == "<Queue of <Device mem:1MiB on mem>, 0 of 4 in flight>"
    assert repr(dev) == "<closed Device mem:1MiB on mem>"


@pytest.mark.parametrize("size", ["4k", "4K", "4KiB", "4096", "4096b", "4kb"])
def test_sizes_as_fio_writes_them(size):
    with ringway.open(f"null:{size}") as dev:
        assert dev.size == 4096


@pytest.mark.parametrize(
    ("offset", "length", "covering"),
    [
        (0, 512, (0, 512, 512)),
        (1, 1, (0, 512, 2)),
        (511, 2, (0, 1024, 513)),
        (1000, 5000, (512, 1536, 2000)),
        (2000, 0, (1536, 0, 2000)),
        (2000, 9, (1536, 0, 2000)),
    ],
)
def test_the_blocks_that_cover_any_bytes(offset, length, covering):
    with ringway.open("mem:2000") as dev:
        assert dev._covering(offset, length) == covering


def test_sync_calls_are_documented_and_take_names():
    for call in (ringway.Device.readinto, ringway.Device.write):
        assert call.__doc__
        assert list(inspect.signature(call).parameters)[-1] == "timeout"
    with ringway.open("mem:4096") as dev:
        buffer = dev.alloc(512)
        assert dev.write(offset=0, data=buffer) == 512
        assert dev.readinto(offset=0, buffer=buffer, timeout=1) == 512
        with pytest.raises(TypeError):
            dev.readinto(0)
        with pytest.raises(TypeError):
            dev.readinto(0, buffer, 1, 2)
        with pytest.raises(TypeError):
            dev.readinto(0, buffer, speed=1)


def test_a_device_that_is_closed_or_gone_is_not_drained_at_exit():
    dev = ringway.open("mem:4096")
    assert dev in _open_devices
    dev.close()
    assert dev not in _open_devices
    dev = ringway.open("mem:4096")
    before = len(_open_devices)
    del dev
    gc.collect()
    assert len(_open_devices) == before - 1


def test_a_device_closes_when_a_with_block_fails():
    with pytest.raises(KeyError), ringway.open("mem:4096") as dev:
        raise KeyError
    with pytest.raises(ringway.ClosedError):
        dev.read(0, 1)
