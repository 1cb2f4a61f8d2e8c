"""Targets that cannot be opened: each a clear error with the exception Python has for it."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading

import pytest

import ringway


@pytest.fixture
def refused(spec):
    """Opens on each path and by choice: the same refusal; its sentence."""

    def check(target, kind, **options):
        texts = []
        for path in (spec, None):
            with pytest.raises(kind) as caught:
                ringway.open(target, path, **options)
            assert isinstance(caught.value, ringway.RingwayError)
            texts.append(caught.value.strerror)
        assert texts[0] in texts[1]
        return texts[0]

    return check


def test_a_missing_file(refused, disk):
    assert "does not exist" in refused(disk / "missing", FileNotFoundError)
    assert "does not exist" in refused("bogus:1GiB", ringway.NotFoundError)


def test_a_directory(refused, disk):
    text = refused(disk, IsADirectoryError)
    assert "directory" in text
    assert "name a file" in text
    refused(disk, IsADirectoryError, writable=True)


def test_a_pipe_does_not_hang(refused, disk):
    pipe = disk / "pipe"
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    answered = threading.Event()
    threading.Timer(10, lambda: answered.is_set() or os.open(pipe, os.O_RDWR)).start()
    for writable in (False, True):
        assert "pipe" in refused(pipe, ringway.RingwayError, writable=writable)
    answered.set()


def test_a_socket(refused, disk):
    path = disk / "socket"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert "socket" in refused(path, ringway.RingwayError)


def test_a_character_device(refused):
    assert "character device" in refused("/dev/null", ringway.ArgumentError)


def test_a_name_that_goes_through_a_file(refused, disk):
    (disk / "plain").write_bytes(b"")
    assert "plain" in refused(disk / "plain" / "below", ringway.RingwayError)


def test_a_link_to_itself(refused, disk):
    loop = disk / "round"
    loop.unlink(missing_ok=True)
    loop.symlink_to(loop)
    assert "round" in refused(loop, ringway.RingwayError)


def test_a_device_node_without_a_device(refused, disk):
    node = disk / "nothing"
    node.unlink(missing_ok=True)
    try:
        os.mknod(node, 0o600 | stat.S_IFBLK, os.makedev(4000, 17))
    except PermissionError:
        pytest.skip("only root may make device nodes")
    assert "gone" in refused(node, ringway.DeviceGoneError)


def test_a_loop_device_with_nothing_in_it(refused, tool):
    if os.geteuid():
        pytest.skip("only root may look at loop devices")
    assert "size 0" in refused(tool("losetup", "--find"), ringway.RingwayError)


# --------------------------------------------------------- what may be done


def test_a_file_system_that_is_read_only(refused, spec, file_system, tool):
    with file_system("frozen", 4) as folder:
        (folder / "data").write_bytes(bytes(4096))
        tool("mount", "-o", "remount,ro", str(folder))
        text = refused(folder / "data", ringway.ReadOnlyError, writable=True)
        assert "read-only" in text
        with ringway.open(folder / "data", spec) as dev:
            assert dev.read(0, 4096) == bytes(4096)


def test_a_block_device_that_is_read_only(refused, spec, disk, loop_device):
    image = disk / "read-only.image"
    image.write_bytes(bytes(1 << 20))
    with loop_device(str(image), "--read-only") as device:
        assert "read-only" in refused(device, ringway.ReadOnlyError, writable=True)
        with ringway.open(device, spec) as dev:
            assert dev.read(0, 512) == bytes(512)


def test_a_block_device_that_is_mounted(refused, spec, disk, file_system, tool):
    with file_system("mounted", 4) as folder:
        device = tool("findmnt", "--noheadings", "--output", "SOURCE", str(folder))
        text = refused(device, ringway.BusyError, writable=True)
        assert str(folder) in text
        with ringway.open(device, spec) as dev:
            assert len(dev.read(0, 4096)) == 4096


def test_a_block_device_is_written_to_by_one(refused, spec, disk, loop_device):
    image = disk / "single.image"
    image.write_bytes(bytes(1 << 20))
    with loop_device(str(image)) as device:
        with ringway.open(device, spec, writable=True) as dev:
            assert "in use" in refused(device, ringway.BusyError, writable=True)
            assert dev.write(0, dev.alloc(4096)) == 4096
        with ringway.open(device, spec, writable=True) as dev:
            dev.flush()


AS_NOBODY = """
import errno, os, sys
import ringway
with ringway.open(sys.argv[1]): pass  # what is loaded late, is loaded
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
for writable, mode in ((False, 0o000), (True, 0o444)):
    try:
        ringway.open(sys.argv[1 + writable], sys.argv[3], writable=writable)
    except PermissionError as error:
        assert type(error) is ringway.NotPermittedError, error
        assert error.errno == errno.EACCES, error
        assert "no permission to" in str(error), error
    else:
        raise AssertionError(f"opened with mode {mode:o}")
with ringway.open(sys.argv[2], sys.argv[3]) as dev:
    print(len(dev.read(0, 4096)))
"""


def test_a_file_without_permission(spec, disk, child):
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    secret, public = disk / "secret", disk / "public"
    for path, mode in ((secret, 0o000), (public, 0o444)):
        path.write_bytes(bytes(4096))
        path.chmod(mode)
    path = spec.replace("+fixed", "")  # another test is about locked memory
    done = child(AS_NOBODY, secret, public, path)
    assert (done.stdout, done.stderr) == ("4096\n", "")


# ---------------------------------------------------------- names and sizes


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("io_urnig", "io_uring"),
        ("posx", "posix"),
        ("IO_URING", "io_uring"),
        ("io_uring+fixd", "io_uring+fixed"),
        ("io_uring+sqpol+fixed", "io_uring+sqpoll"),
    ],
)
def test_an_unknown_path_or_option_suggests_the_nearest(path, hint):
    with pytest.raises(ringway.ArgumentError, match="unknown") as caught:
        ringway.open("mem:1MiB", path)
    assert f"did you mean {hint}?" in str(caught.value)


def test_a_name_like_nothing_lists_all():
    with pytest.raises(ringway.ArgumentError) as caught:
        ringway.open("mem:1MiB", "zzzzzz")
    for name in ("io_uring", "libaio", "mem", "null", "posix"):
        assert name in str(caught.value)
    with pytest.raises(ringway.ArgumentError, match="posix has none"):
        ringway.open("mem:1MiB", "posix+fast")


def test_a_path_that_does_not_serve_the_target(disk):
    with pytest.raises(ringway.ArgumentError, match="serves files and block devices"):
        ringway.open("mem:1MiB", "posix")
    with pytest.raises(ringway.ArgumentError, match="serves targets like mem:"):
        ringway.open(disk, "mem")


@pytest.mark.parametrize(
    "target", ["mem:", "mem:much", "mem:-1", "null:1 GiB", "mem:1XiB", "mem:0"]
)
def test_a_size_that_is_none(target):
    with pytest.raises(ringway.ArgumentError) as caught:
        ringway.open(target)
    assert "MiB" in str(caught.value)


def test_more_memory_than_there_is():
    with pytest.raises(ringway.NoMemoryError, match="memory"):
        ringway.open("mem:8000000TiB")


def test_an_empty_name():
    with pytest.raises(ringway.ArgumentError, match="empty"):
        ringway.open("")


def test_a_name_with_a_null_byte_is_not_cut_short(disk):
    (disk / "cut").write_bytes(bytes(4096))
    with pytest.raises((ringway.ArgumentError, ValueError), match="null"):
        ringway.open(f"{disk}/cut\0short")


def test_no_name_at_all():
    for target in (None, 5):
        with pytest.raises(TypeError):
            ringway.open(target)


def test_errors_are_errors_of_the_system(disk):
    with pytest.raises(OSError, match="does not exist") as caught:
        ringway.open(disk / "missing")
    assert caught.value.errno == errno.ENOENT
