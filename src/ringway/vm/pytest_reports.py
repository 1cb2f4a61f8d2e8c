"""Reports and warnings from a machine, made what they would be here."""

from __future__ import annotations

import builtins
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pytest

from .pytest_link import Event, GuestError

_Phase = Literal["setup", "call", "teardown"]


def report_of(config: pytest.Config, data: dict[str, Any]) -> pytest.TestReport:
    """A report from what `pytest_report_to_serializable` had made of it."""
    hook = config.hook.pytest_report_from_serializable
    report: pytest.TestReport = hook(config=config, data=data)
    # JSON has no tuples, and plugins check for some of them.
    report.location = tuple(report.location)  # type: ignore[assignment]
    report.sections = [(title, text) for title, text in report.sections]
    report.user_properties = [(name, value) for name, value in report.user_properties]
    if isinstance(report.longrepr, list):
        report.longrepr = tuple(report.longrepr)
    return report


def warning_of(event: Event) -> dict[str, Any]:
    """The arguments of `pytest_warning_recorded`."""
    location = event["location"]
    return {
        "warning_message": warnings.WarningMessage(
            *_warning(event), filename=event["filename"], lineno=event["lineno"]
        ),
        "when": "runtest",
        "nodeid": event["nodeid"],
        "location": tuple(location) if location else None,
    }


def _warning(event: Event) -> tuple[Warning, type[Warning]]:
    """A warning of the same class, where that is known here, else of one that has its name."""
    module = sys.modules.get(event["module"], builtins)
    category = getattr(module, event["name"], None)
    try:
        return category(event["text"]), category  # type: ignore[misc,return-value]
    except Exception:  # no such class here, or not one that is made of a text
        category = type(event["name"], (UserWarning,), {})
        return category(event["text"]), category


def failures(
    item: pytest.Item, error: GuestError, seen: Sequence[pytest.TestReport]
) -> Iterator[pytest.TestReport]:
    """Reports for a test that could not report to its end, after those that were seen."""
    phase = _phase(seen)
    yield _report(item, phase, "failed", str(error), error.sections)
    if phase != "teardown":
        # Plugins such as junitxml close a test with it.
        yield _report(item, "teardown", "passed", None, ())


def _phase(seen: Sequence[pytest.TestReport]) -> _Phase:
    """What the test was at when reports ceased."""
    if not seen:
        return "setup"
    return "call" if seen[-1].when == "setup" and seen[-1].passed else "teardown"


def _report(
    item: pytest.Item,
    phase: _Phase,
    outcome: Literal["passed", "failed"],
    text: str | None,
    sections: Sequence[tuple[str, str]],
) -> pytest.TestReport:
    now = time.time()
    return pytest.TestReport(
        item.nodeid,
        item.location,
        dict.fromkeys(item.keywords, 1),
        outcome,
        text,
        phase,
        sections,
        start=now,
        stop=now,
    )
