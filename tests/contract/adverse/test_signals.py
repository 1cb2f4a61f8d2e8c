"""Signals: Ctrl-C ends a wait at once and leaves the device usable; other handlers do not."""

from __future__ import annotations

import gc
import signal
import threading
import time
import weakref
from contextlib import contextmanager

import numpy as np
import pytest

import ringway


@pytest.fixture
def handle():
    """Sets a handler of SIGUSR1 for one test."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR1, before)


@contextmanager
def sender(after, number=signal.SIGUSR1):
    """A thread that signals the main one some time after it is armed; yields that, and when."""
    armed, ended = threading.Event(), threading.Event()
    sent = []

    def send():
        armed.wait()
        if not ended.wait(after):
            sent.append(time.monotonic())
            signal.pthread_kill(threading.main_thread().ident, number)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield armed.set, sent
    finally:
        ended.set()
        armed.set()
        thread.join()


@contextmanager
def signalled(after):
    """What runs in it gets a signal some time from now."""
    with sender(after) as (arm, _):
        arm()
        yield


@pytest.fixture(autouse=True)
def ctrl_c():
    """Python's own handler, also where the test run was started with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def interrupted(patience):
    """Expects Ctrl-C to end what runs in it within 100 ms."""

    @contextmanager
    def check(after):
        with sender(after, signal.SIGINT) as (arm, sent):
            try:
                arm()
                yield
            except KeyboardInterrupt:
                late = time.monotonic() - sent[0]
            else:
                pytest.fail("it was not interrupted")
        assert late < 0.1 * patience()

    return check


#: Within the core's first wait, and after some.
MOMENTS = [0.02, 0.07]

CALLS = {
    "readinto": lambda dev, memory: dev.readinto(0, memory, timeout=10),
    "readinto at once": lambda dev, memory: dev.readinto(0, memory),
    "read_many": lambda dev, memory: dev.read_many([0] * 4, memory, 512, timeout=10),
}


@pytest.mark.parametrize("after", MOMENTS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_ctrl_c_ends_a_call(stuck, stuck_disk, interrupted, block, call, after):
    buffer = stuck.alloc(block)
    stuck_disk.release()
    stuck.readinto(0, buffer)  # its span is known now
    stuck_disk.stick()
    with interrupted(after):
        call(stuck, buffer)
    stuck_disk.release()
    assert stuck.readinto(0, buffer) == block
    assert stuck.read_many([0], buffer).result.tolist() == [block]


@pytest.mark.parametrize("after", MOMENTS)
@pytest.mark.parametrize("use", ["readinto", "read_many"])
def test_memory_stays_when_ctrl_c_ends_a_call(stuck, stuck_disk, interrupted, block, after, use):
    memory = np.frombuffer(bytearray(2 * block), np.uint8)
    start = -memory.ctypes.data % block
    alive = weakref.ref(memory)
    with interrupted(after):
        if use == "readinto":
            stuck.readinto(0, memory[start : start + block])
        else:
            stuck.read_many([0], memory[start : start + block])
    del memory
    gc.collect()
    assert alive() is not None


@pytest.mark.parametrize("after", MOMENTS)
def test_ctrl_c_ends_a_wait_and_the_operation_goes_on(stuck, stuck_disk, interrupted, block, after):
    with stuck.queue(4) as queue:
        token = queue.read(0, stuck.alloc(block))
        with interrupted(after):
            queue.wait(token)
        with interrupted(after):
            queue.reap()
        assert queue.in_flight == 1
        stuck_disk.release()
        assert queue.wait(token).result == block


def test_ctrl_c_ends_closing(spec, slow, stuck_disk, interrupted, block):
    dev = ringway.open(stuck_disk.target, spec)
    queue = dev.queue(4)
    stuck_disk.stick()
    queue.read(0, dev.alloc(block))
    queue.submit()
    with interrupted(0.05):
        dev.close()
    stuck_disk.release()
    dev.close()


@pytest.mark.parametrize("after", MOMENTS)
def test_a_handler_that_returns_does_not_end_a_call(stuck, stuck_disk, handle, block, after):
    seen = []
    handle(lambda *_: (seen.append(1), stuck_disk.release()))
    with signalled(after):
        assert stuck.readinto(0, stuck.alloc(block)) == block
    assert seen == [1]


@pytest.mark.parametrize("after", MOMENTS)
def test_a_handler_that_returns_does_not_end_a_batch(stuck, stuck_disk, handle, block, after):
    handle(lambda *_: stuck_disk.release())
    with signalled(after):
        done = stuck.read_many([0] * 8, stuck.alloc(8 * block), depth=2)
    assert done.result.tolist() == [block] * 8


def test_a_handler_does_not_shorten_the_timeout(stuck, handle, block):
    handle(lambda *_: None)
    start = time.monotonic()
    with signalled(0.02), pytest.raises(ringway.DeadlineError):
        stuck.readinto(0, stuck.alloc(block), timeout=0.15)
    assert time.monotonic() - start >= 0.15


def test_io_in_a_handler_inside_a_call_is_refused(stuck, stuck_disk, handle, block):
    """It would take the completion that the call waits for."""
    errors = []

    def read(*_):
        try:
            stuck.readinto(0, stuck.alloc(block), timeout=0.01)
        except ringway.RingwayError as error:
            errors.append(error)
        stuck_disk.release()

    handle(read)
    with signalled(0.02):
        assert stuck.readinto(0, stuck.alloc(block)) == block
    assert [type(error) for error in errors] == [ringway.BusyError]
    assert "signal handler" in str(errors[0])


@pytest.mark.parametrize("after", MOMENTS)
def test_ctrl_c_ends_a_long_batch(spec, targets, interrupted, after):
    with ringway.open(targets.of("file"), spec, direct=False) as dev:
        buffer = dev.alloc(200_000)
        offsets = np.zeros(len(buffer), np.int64)
        with interrupted(after):
            while True:
                dev.read_many(offsets, buffer, bs=1)
        assert dev.readinto(0, buffer[:1]) == 1


@pytest.mark.parametrize("target", ["null:1MiB", "mem:1MiB"])
def test_ctrl_c_ends_a_long_batch_in_memory(target, interrupted):
    with ringway.open(target) as dev:
        buffer = dev.alloc(512)
        offsets = np.zeros(1, np.int64)
        with interrupted(0.02):
            while True:
                dev.read_many(offsets, buffer)
        many = dev.alloc(50_000 * 512)
        with interrupted(0.02):
            while True:
                dev.read_many(np.zeros(50_000, np.int64), many)
        assert dev.readinto(0, buffer) == 512
