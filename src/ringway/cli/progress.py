"""What the user sees while it runs: a bar at a terminal, a line per round elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from ringway.bench.executor import Progress as Callback
from ringway.bench.executor import Status
from ringway.bench.plan import Plan, Step
from ringway.bench.record import Measurement
from ringway.bench.units import format_count, format_seconds

from .interrupt import Interruption


class _Remaining(ProgressColumn):
    """The plan knows how long it takes: one unit of the bar is one second."""

    def render(self, task: Task) -> Text:
        left = max(0.0, (task.total or 0.0) - task.completed)
        return Text(f"{format_seconds(round(left))} left", "dim")


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        _Remaining(),
        console=console,
        transient=True,
        expand=True,
    )


class Display:
    """A bar over a known number of seconds. Answers False once the user wants an end."""

    def __init__(self, title: str, seconds: float, interruption: Interruption) -> None:
        self._console = Console(stderr=True)
        self._interruption = interruption
        self._bar = _bar(self._console) if self._console.is_terminal else None
        self._task = self._bar.add_task(title, total=seconds) if self._bar else None

    def __enter__(self) -> Display:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, seconds: float, text: str | None = None) -> bool:
        """Moves the bar to a second, with other words beside it if given."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=seconds, description=text)
        return not self._interruption.wanted

    def line(self, text: str) -> None:
        """A line that stays; only where there is no bar."""
        if not self._bar:
            self._console.print(text, highlight=False, markup=False)


def run_status(display: Display, ramp: float) -> Callback:
    """The progress callback of a single run."""

    def status(status: Status) -> bool:
        seconds = status.seconds + (0.0 if status.ramping else ramp)
        text = "ramp" if status.ramping else None
        if status.operations and status.seconds > 0:
            text = f"{format_count(status.operations / status.seconds)} IOPS"
        return display.show(seconds, text)

    return status


class PlanWatcher:
    """Follows a plan on a display."""

    def __init__(self, plan: Plan, display: Display) -> None:
        self._display = display
        self._rounds = plan.request.repetitions
        self._done = 0.0
        self._last = ""

    def begin(self, step: Step) -> None:
        place = f"{step.group.place}, round {step.round} of {self._rounds}"
        if place != self._last:
            self._display.line(place)
            self._last = place
        self._display.show(self._done, self._text(step))

    def status(self, step: Step, status: Status) -> bool:
        seconds = status.seconds + (0.0 if status.ramping else step.spec.workload.ramp)
        rate = ""
        if status.operations and status.seconds > 0:
            rate = f"  {format_count(status.operations / status.seconds)} IOPS"
        return self._display.show(self._done + min(seconds, step.seconds), self._text(step) + rate)

    def end(self, step: Step, measurement: Measurement | None) -> None:
        self._done += step.seconds
        self._display.show(self._done)

    def _text(self, step: Step) -> str:
        return (
            f"[bold]{escape(step.variant.label)}[/]  {escape(step.group.place)}, depth "
            f"{step.group.workload.depth}, round {step.round}/{self._rounds}"
        )
