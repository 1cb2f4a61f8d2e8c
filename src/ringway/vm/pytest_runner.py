"""Runs marked tests in machines, in place of pytest's own protocol for a test.

The tests of one topology follow each other, and so do those that stay on the host: one boot for
each topology, one machine at a time. No fixture notices, since each of these groups has a session
of its own, in which the order stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .pytest_link import Event, Guest, GuestError, GuestExit
from .pytest_machines import AbsentError, Machines, option
from .pytest_marks import wanted
from .pytest_plugin import MARK
from .pytest_reports import failures, report_of, warning_of

_MODES = ("auto", "off", "kvm", "tcg")
_OFF = "emulated NVMe is switched off (--emulated-nvme=off)"
_WORKER = (
    f"tests marked {MARK} do not run in workers of pytest-xdist, each of which would boot machines"
    f" of its own: run them apart, with -m {MARK} -n 0"
)
_MISSING = "the pytest in the machine did not collect this test: its id must be the same there."
_NO_DEBUGGER = "--pdb does not reach into the machine: failures there are only reported"


class Runner:
    """Hooks of a session that has marked tests."""

    def __init__(self, session: pytest.Session) -> None:
        self._config = session.config
        self._items = list(session.items)
        self._mode = option(self._config, "emulated_nvme")
        self._limit = _seconds(option(self._config, "emulated_nvme_timeout"))
        if self._mode not in _MODES:
            raise pytest.UsageError(f"emulated_nvme = {self._mode}: one of {', '.join(_MODES)}")
        self._machines = Machines(self._config, self._mode, self._say)
        self._topology = {item: wanted(item) for item in self._items if _is_marked(item)}
        self._groups: dict[str, list[pytest.Item]] = {}
        for item, name in self._topology.items():
            self._groups.setdefault(name, []).append(item)

    def arranged(self) -> list[pytest.Item]:
        """The session's tests, those of a topology together."""
        return list(self._arrange())

    def _arrange(self) -> Iterator[pytest.Item]:
        """Topologies that begin before all tests of the host stay there (--ff), others follow."""
        here = [item for item in self._items if item not in self._topology]
        start = self._items.index(here[0]) if here else 0
        first = {self._topology[item] for item in self._items[:start]}
        for name, group in self._groups.items():
            if name in first:
                yield from group
        yield from here
        for name, group in self._groups.items():
            if name not in first:
                yield from group

    # ------------------------------------------------------------ hooks

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if item not in self._topology or not _runs(item):
            return None
        try:
            return self._protocol(item)
        except BaseException:
            self._machines.close()
            raise

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item) -> bool | None:
        """pytest-timeout counts in the machine, where the test is; here it would count the boot."""
        return True if item in self._topology else None

    def pytest_runtestloop(self) -> None:
        if self._topology and self._config.getoption("usepdb", False):
            self._say(_NO_DEBUGGER)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._machines.end()

    def pytest_unconfigure(self) -> None:
        self._machines.close()

    # ------------------------------------------------------------ one test

    def _protocol(self, item: pytest.Item) -> bool | None:
        try:
            guest: Guest | GuestError = self._guest(item)
        except AbsentError as error:
            item.add_marker(pytest.mark.skip(reason=str(error)))
            return None
        except GuestError as error:
            guest = error
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        if isinstance(guest, Guest):
            self._run(item, guest)
        else:
            self._fail(item, guest, [])
        self._leave(item)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if not self._following(item):
            self._machines.end()
        return True

    def _guest(self, item: pytest.Item) -> Guest:
        if self._mode == "off":
            raise AbsentError(_OFF)
        if hasattr(self._config, "workerinput"):
            raise GuestError(_WORKER)
        return self._machines.guest(self._topology[item], [item, *self._following(item)])

    def _run(self, item: pytest.Item, guest: Guest) -> None:
        seen: list[pytest.TestReport] = []

        def act(event: Event) -> None:
            if event["kind"] == "warning":
                self._config.hook.pytest_warning_recorded.call_historic(kwargs=warning_of(event))
            else:
                seen.append(report_of(self._config, event["data"]))
                item.ihook.pytest_runtest_logreport(report=seen[-1])

        following = [test.nodeid for test in self._following(item)]
        coming = next((test for test in following if test not in guest.missing), None)
        if item.nodeid in guest.missing:
            self._fail(item, GuestError(f"{_MISSING} {guest.missing[item.nodeid]}"), seen)
            return
        try:
            guest.run(item.nodeid, coming, self._limit, act)
        except GuestExit as error:
            pytest.exit(str(error), error.status)
        except GuestError as error:
            self._machines.lose(str(error))
            self._fail(item, error, seen)

    def _fail(self, item: pytest.Item, error: GuestError, seen: list[pytest.TestReport]) -> None:
        for report in failures(item, error, seen):
            item.ihook.pytest_runtest_logreport(report=report)

    def _following(self, item: pytest.Item) -> list[pytest.Item]:
        """The tests after this one in its machine."""
        group = self._groups[self._topology[item]]
        return list(filter(_runs, group[group.index(item) + 1 :]))

    def _leave(self, item: pytest.Item) -> None:
        """Ends the fixtures of the host's tests, which are all behind or all ahead of this one.

        pytest does so in the teardown of the last, but for what that shares with the next test.
        """
        state: Any = getattr(item.session, "_setupstate")  # noqa: B009
        call = pytest.CallInfo.from_call(
            lambda: state.teardown_exact(None),
            "teardown",
            reraise=(pytest.exit.Exception, KeyboardInterrupt),
        )
        if call.excinfo:
            report = item.ihook.pytest_runtest_makereport(item=item, call=call)
            item.ihook.pytest_runtest_logreport(report=report)

    # ------------------------------------------------------------ words

    def _say(self, text: str, verbosity: int = 0) -> None:
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self._config.getoption("verbose") >= verbosity:
            reporter.write_line(f"emulated NVMe: {text}")


def _is_marked(item: pytest.Item) -> bool:
    return item.get_closest_marker(MARK) is not None


def _runs(item: pytest.Item) -> bool:
    """A test that is skipped in any case needs no machine."""
    return item.get_closest_marker("skip") is None


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise pytest.UsageError(f"emulated_nvme_timeout: {text!r} is no number of seconds above 0")
    return value
