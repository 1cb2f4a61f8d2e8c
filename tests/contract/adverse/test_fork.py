"""A forked child: the parent's device and queues are refused, its own work; the parent goes on."""

from __future__ import annotations

import os
import sys
import traceback

import pytest

import ringway


@pytest.fixture
def in_fork():
    """Runs a function in a forked child; its error, as text, is what fails here."""

    def run(function):
        end, start = os.pipe()
        child = os.fork()
        if not child:
            code = 1
            try:
                function()
                code = 0
            except BaseException:
                os.write(start, traceback.format_exc().encode())
            finally:
                os._exit(code)
        os.close(start)
        with open(end, "rb") as pipe:
            text = pipe.read().decode()
        _, status = os.waitpid(child, 0)
        assert (os.waitstatus_to_exitcode(status), text) == (0, "")

    return run


@pytest.fixture
def both(spec, targets):
    """A device and a queue of it, both used already."""
    with ringway.open(targets.of("file"), spec, writable=True) as dev, dev.queue(4) as queue:
        dev.readinto(0, dev.alloc(4096))
        queue.wait(queue.read(0, dev.alloc(4096)))
        yield dev, queue


def test_the_device_of_the_parent_is_refused(both, in_fork, block):
    dev, queue = both
    buffer = dev.alloc(block)

    def child():
        for use in (
            lambda: dev.readinto(0, buffer),
            lambda: dev.write(0, buffer),
            lambda: dev.read_many([0], buffer),
            lambda: dev.flush(),
            lambda: dev.queue(1),
            lambda: queue.read(0, buffer),
            queue.submit,
            queue.reap,
        ):
            with pytest.raises(ringway.ForkedError, match="spawn"):
                use()
        queue.close()
        dev.close()

    in_fork(child)
    assert dev.readinto(0, buffer) == block
    assert queue.wait(queue.read(0, buffer)).result == block


def test_a_child_opens_its_own(both, spec, in_fork, targets, block):
    dev, _ = both
    buffer = dev.alloc(block)
    buffer[:] = 7
    dev.write(0, buffer)

    def child():
        own = ringway.alloc(block)
        assert not own.any()
        with ringway.open(targets.of("file"), spec) as device:
            assert device.readinto(0, own) == block
            assert (own == 7).all()
            done = device.read_many([0] * 10, ringway.alloc(10 * block))
            assert done.result.tolist() == [block] * 10

    in_fork(child)
    assert (buffer == 7).all()


def test_a_child_leaves_operations_in_flight_alone(both, in_fork, block):
    dev, queue = both
    buffers = [dev.alloc(block) for _ in range(4)]
    tokens = [queue.read(0, buffer) for buffer in buffers]
    queue.submit()
    in_fork(lambda: None)
    assert [done.result for done in queue.wait_all(tokens)] == [block] * 4


def test_a_child_that_ends_as_python_does(both, targets, block):
    """With finalizers and exit handlers, as after a plain os.fork()."""
    dev, queue = both
    token = queue.read(0, dev.alloc(block))
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            from ringway.device import _drain_at_exit

            _drain_at_exit()
            del queue
            dev.close()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert queue.wait(token).result == block


SPAWN = """
import multiprocessing, sys
import ringway

def work(target, spec):
    with ringway.open(target, spec) as dev:
        return dev.readinto(0, dev.alloc(4096))

if __name__ == "__main__":
    dev = ringway.open(sys.argv[1], sys.argv[2])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(work, sys.argv[1:]) == 4096
    assert dev.readinto(0, dev.alloc(4096)) == 4096
"""


def test_a_spawned_process_works(targets, child, tmp_path):
    script = tmp_path / "spawn.py"
    script.write_text(SPAWN)
    done = child(
        "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')",
        script,
        targets.of("file"),
        "io_uring",
    )
    assert (done.returncode, done.stderr) == (0, "")
