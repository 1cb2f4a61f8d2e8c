"""Machines for marked tests: one at a time, one for each topology, a new one where it is lost."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import pytest

from .errors import MachineError, UnavailableError
from .host import Host, find_host
from .job import Job, environment_in
from .machine import Machine
from .pytest_link import Guest, GuestError, MachineLike
from .pytest_marks import topology
from .pytest_plugin import PORT
from .qemu import TopologyError

#: Machines of one topology that may be lost before its other tests fail without one.
_MOST_LOST = 3
#: There, too, modules are found where they are found here.
_START = """
import json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
import pytest
sys.exit(pytest.main())
"""


class AbsentError(Exception):
    """This host has no machine for a test, which is skipped; the text says why."""


class Starter:
    """Starts machines as the options say. Tests of the plugin have another one."""

    def __init__(self, acceleration: str, kernel: Path | None) -> None:
        self._acceleration = acceleration
        self._kernel = kernel

    @cached_property
    def _host(self) -> Host:
        return find_host(self._kernel, self._acceleration)

    def manner(self) -> str:
        """How they will run. Raises UnavailableError."""
        acceleration = self._host.acceleration
        if acceleration.emulated:
            return f"emulated, tens of times slower than with KVM ({acceleration.why})"
        return "with KVM"

    def start(self, job: Job) -> MachineLike:
        """A machine that runs the job. Raises MachineError, and TopologyError."""
        return Machine(self._host, job)


#: Where another starter is left.
STARTER = pytest.StashKey[Starter]()


class Say(Protocol):
    """Tells people what takes its time, from a verbosity on."""

    def __call__(self, text: str, verbosity: int = 0) -> None: ...


class Machines:
    """The machine that runs now, if any."""

    def __init__(self, config: pytest.Config, mode: str, say: Say) -> None:
        self._config = config
        self._say = say
        self._needed = mode != "auto"
        kernel = option(config, "emulated_nvme_kernel")
        default = Starter(mode, Path(kernel) if kernel else None)
        self._starter = config.stash.get(STARTER, default)
        self._guest: Guest | None = None
        self._name = ""
        self._boots = 0
        self._lost: Counter[str] = Counter()
        #: Topologies that are given up, with the error for their tests.
        self._hopeless: dict[str, Exception] = {}

    def guest(self, name: str, tests: Sequence[pytest.Item]) -> Guest:
        """The machine of a topology, booted for these tests unless it is there.

        Raises AbsentError where this host cannot have it, GuestError where it does not come up.
        """
        if self._guest is not None and self._name == name:
            return self._guest
        self.end()
        if name in self._hopeless:
            raise self._hopeless[name]
        try:
            return self._boot(name, tests)
        except (UnavailableError, TopologyError) as error:
            kind = GuestError if self._needed else AbsentError
            self._hopeless[name] = kind(str(error))
        except GuestError as error:
            self._hopeless[name] = GuestError(f"the machine did not come up before: {error}")
            raise
        raise self._hopeless[name]

    def _boot(self, name: str, tests: Sequence[pytest.Item]) -> Guest:
        if not self._boots:
            self._say("looking for QEMU, a kernel and KVM", 1)
        # Said in full the first time only.
        manner = f", {self._starter.manner()}" if not self._boots else ""
        self._say(f"booting a machine of topology {topology(name).name}{manner}")
        try:
            machine = self._starter.start(self._job(name))
        except UnavailableError:
            raise
        except MachineError as error:
            raise GuestError(str(error)) from error
        self._boots += 1
        self._name = name
        self._guest = Guest(machine, self._log(name))
        try:
            files = dict.fromkeys(str(item.path) for item in tests)
            self._guest.start([item.nodeid for item in tests], list(files))
        except BaseException:
            self.close()
            raise
        self._say(f"its pytest was ready after {machine.age:.1f} s")
        self._say(f"tests to run in it: {len(tests)}, of {len(files)} files", 1)
        return self._guest

    def _job(self, name: str) -> Job:
        environment = environment_in(name)
        environment.pop("PYTEST_CURRENT_TEST", None)
        return Job(
            command=[sys.executable, "-c", _START, json.dumps(sys.path), *self._arguments()],
            topology=topology(name),
            directory=self._config.invocation_params.dir,
            environment=environment,
            ports=[PORT],
        )

    def _arguments(self) -> list[str]:
        """pytest's arguments in the machine: those here, and the plugin that obeys."""
        given = [str(argument) for argument in self._config.invocation_params.args]
        # Coverage is not brought back, and would slow the tests down.
        spared = ["--no-cov"] if self._config.pluginmanager.has_plugin("pytest_cov") else []
        return ["-p", "ringway.vm.pytest_guest", *spared, *given]

    def _log(self, name: str) -> Path | None:
        folder = self._config.getoption("emulated_nvme_log")
        if not folder:
            return None
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        return place / f"{topology(name).name}-{self._boots}.log"

    # ------------------------------------------------------------ endings

    def lose(self, reason: str) -> None:
        """The machine is of no more use: the next test gets a new one, unless that is too often."""
        self.close()
        self._lost[self._name] += 1
        if self._lost[self._name] >= _MOST_LOST:
            text = f"{_MOST_LOST} machines of this topology were lost before it; the last: {reason}"
            self._hopeless[self._name] = GuestError(text)

    def end(self) -> None:
        """Lets the session in the machine end, then the machine."""
        if self._guest is None:
            return
        try:
            self._guest.end()
        except GuestError as error:
            self._say(str(error))
        finally:
            self.close()

    def close(self) -> None:
        """Ends the machine at once."""
        if self._guest is not None:
            guest, self._guest = self._guest, None
            guest.close()


def option(config: pytest.Config, name: str) -> str:
    """A value of the command line, or else of the configuration."""
    return str(config.getoption(name) or config.getini(name))
