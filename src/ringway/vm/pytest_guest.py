"""pytest plugin of the session in the machine: runs what the host says, and tells it all.

The command line there is the host's, so that options, configuration and conftest files are too;
what the host does itself, such as choosing tests and writing files, is switched off here.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from typing import Any, NoReturn

import pytest

from .pytest_plugin import PORT, PORT_PLACE

#: Where a test hangs is written there, beside the capturing that is about to begin.
_STDERR = os.dup(2)

#: Options with the values that they have here, of those that pytest and its plugins know.
_OPTIONS: dict[str, Any] = {
    # Which tests, and when to stop.
    "keyword": "",
    "markexpr": "",
    "deselect": None,
    "maxfail": 0,
    "lf": False,
    "failedfirst": False,
    "newfirst": False,
    "stepwise": False,
    "stepwise_skip": False,
    "stepwise_reset": False,
    "collectonly": False,
    "pyargs": False,
    # What is written for people and for other programs.
    "xmlpath": None,
    "durations": None,
    "cacheshow": None,
    "cacheclear": False,
    "pastebin": None,
    # There is no keyboard.
    "usepdb": False,
    "trace": False,
    # pytest-xdist
    "numprocesses": None,
    "dist": "no",
    "tx": [],
}


class _Line:
    """The line to the host."""

    def __init__(self, place: str) -> None:
        self._fd = int(place) if place.isdigit() else os.open(place, os.O_RDWR | os.O_CLOEXEC)
        self._rest = b""

    def tell(self, kind: str, **message: Any) -> None:
        data = json.dumps({"kind": kind, **message}, default=repr).encode() + b"\n"
        while data:
            data = data[os.write(self._fd, data) :]

    def hear(self) -> dict[str, Any]:
        """The next message; where there is none any more, that to end."""
        while b"\n" not in self._rest:
            data = os.read(self._fd, 65536)
            if not data:
                return {"end": True}
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message


class _Mute:
    """Stands for the terminal reporter where plugins ask for it, and takes no reports."""

    def __init__(self, reporter: Any) -> None:
        self._reporter = reporter

    def __getattr__(self, name: str) -> Any:
        if name.startswith("pytest_"):
            raise AttributeError(name)
        return getattr(self._reporter, name)


class Obedient:
    """Hooks of a session that does what the host says."""

    def __init__(self, config: pytest.Config, line: _Line) -> None:
        self._config = config
        self._line = line
        self._plan: dict[str, Any] = {}
        self._failed: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        for name, value in _OPTIONS.items():
            if hasattr(config.option, name):
                setattr(config.option, name, value)
        if not config.option.basetemp:
            # The host's folders show through here, and there is no need to tidy them.
            config.option.basetemp = tempfile.mkdtemp(prefix="pytest-")
        self._line.tell("ready")
        self._plan = self._line.hear()
        config.args = self._plan.get("files", [])

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        sys.breakpointhook = _no_debugger
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            config.pluginmanager.unregister(reporter)
            config.pluginmanager.register(_Mute(reporter), "terminalreporter")

    # ------------------------------------------------------------ collecting

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed.append(f"{report.nodeid}:\n{report.longreprtext}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        found = {item.nodeid: item for item in session.items}
        wanted = self._plan["ids"]
        session.items[:] = [found[test] for test in wanted if test in found]
        missing = [test for test in wanted if test not in found]
        self._line.tell("collected", missing=dict(self._reasons(missing, found)))

    def _reasons(self, missing: list[str], found: Iterable[str]) -> Iterator[tuple[str, str]]:
        errors = "\n".join(self._failed)
        for test in missing:
            file = test.partition("::")[0]
            there = [other for other in found if other.startswith(f"{file}::")]
            names = ", ".join(there[:10]) or "no test at all"
            yield test, errors or f"In this file it found {names}."

    # ------------------------------------------------------------ running

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        while "run" in (message := self._line.hear()):
            self._run(items[message["run"]], items.get(message["next"]), message["limit"])
        return True

    def _run(self, item: pytest.Item, following: pytest.Item | None, limit: float) -> None:
        faulthandler.dump_traceback_later(limit, file=_STDERR)
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        except pytest.exit.Exception as error:
            self._line.tell("done", exit=error.msg, status=error.returncode)
            raise
        except KeyboardInterrupt:
            self._line.tell("done", exit="interrupted in the machine", status=None)
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()
        self._line.tell("done")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        hook = self._config.hook
        data = hook.pytest_report_to_serializable(config=self._config, report=report)
        self._line.tell("report", data=data)

    def pytest_warning_recorded(
        self, warning_message: Any, when: str, nodeid: str, location: tuple[str, int, str] | None
    ) -> None:
        # The host has collected the same files, and warns of what that gave.
        if when == "runtest":
            self._line.tell(
                "warning",
                text=str(warning_message.message),
                module=warning_message.category.__module__,
                name=warning_message.category.__qualname__,
                filename=warning_message.filename,
                lineno=warning_message.lineno,
                nodeid=nodeid,
                location=location,
            )

    # ------------------------------------------------------------ ending

    def pytest_internalerror(self, excrepr: Any) -> None:
        self._line.tell("internal", text=f"pytest failed in the machine:\n{excrepr}")

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, Any, None]:
        outcome = yield
        error = outcome.excinfo and outcome.excinfo[1]
        text = f"the end of the session failed in the machine: {error!r}" if error else ""
        self._line.tell("end", error=text)


def _no_debugger(*_: Any, **__: Any) -> NoReturn:
    raise RuntimeError(
        "there is no debugger in the machine, whose tests have no keyboard: "
        "use `ringway vm -- python -m pytest -s --pdb`, or print"
    )


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """The earliest that a plugin named on the command line is asked anything."""
    line = _Line(os.environ.pop(PORT_PLACE, f"/dev/virtio-ports/ringway.{PORT}"))
    early_config.pluginmanager.register(Obedient(early_config, line), "emulated-nvme-guest")
