"""Three ways to show a running training: a bar on a terminal, lines elsewhere, events as JSON."""

from __future__ import annotations

import sys
import time
from math import isfinite
from typing import TYPE_CHECKING

from vixtui.cli import narrate, output
from vixtui.cli.follow import View
from vixtui.paths import command
from vixtui.runs.describe import event_text
from vixtui.runs.events import (
    Event,
    Failed,
    Finished,
    Paused,
    RunStarted,
    StepSkipped,
    Stopped,
    Tested,
    Validated,
    encode,
)
from vixtui.runs.progress import RunProgress
from vixtui.text import format_percent, format_seconds

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

_LINE_SECONDS = 1.0
_FIGURES_WIDTH = 64  # of the figures, the spinner and a ^C that the terminal echoes
_BAR_WIDTHS = (5, 40)


def choose_view(run_id: str, *, json: bool) -> View:
    """Return the view that suits the request and the terminal."""
    if json:
        return JsonView()
    return BarView(run_id) if output.can_draw(sys.stderr) else LineView(run_id)


class JsonView:
    """Prints each event as its line of the log."""

    def show(self, event: Event, progress: RunProgress) -> None:
        """Print the event."""
        output.print_raw(encode(event).decode("ascii"))

    def refresh(self, progress: RunProgress) -> None:
        """Nothing is drawn."""

    def close(self) -> None:
        """Nothing was changed."""


class LineView:
    """Says what happens in lines on stderr; of validations at most one a second, and each kept."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._next_line_at = 0.0

    def show(self, event: Event, progress: RunProgress) -> None:
        """Say what is worth a line."""
        if isinstance(event, Validated | StepSkipped):
            if time.monotonic() < self._next_line_at:
                return
            self._next_line_at = time.monotonic() + _LINE_SECONDS
        if line := describe(event, progress, self._run_id):
            narrate.note(line)

    def refresh(self, progress: RunProgress) -> None:
        """Lines need no drawing."""

    def close(self) -> None:
        """Nothing was changed."""


class BarView(LineView):
    """The same lines above a bar with loss, top-1, speed and the time left."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn

        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        room = console.width - _FIGURES_WIDTH
        self._bars = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=max(_BAR_WIDTHS[0], min(room, _BAR_WIDTHS[1]))),
            _figures_column(),
            console=console,
            redirect_stdout=False,
            transient=True,
        )
        self._task = self._bars.add_task("", total=None, figures="starting")
        self._bars.start()

    def refresh(self, progress: RunProgress) -> None:
        """Move the bar."""
        step = progress.last_step
        self._bars.update(
            self._task,
            total=None if step is None else 1.0,
            completed=0.0 if step is None else step.progress,
            figures=figures(progress),
        )

    def close(self) -> None:
        """Take the bar away."""
        self._bars.stop()


def figures(progress: RunProgress) -> str:
    """Return the newest figures of a run in one short line."""
    step = progress.last_step
    if progress.data is not None and progress.model is None:
        return "measuring speed"
    if step is None or progress.phase != "training":
        return progress.phase
    best = progress.best
    top1 = f"kept {format_percent(best.top1)}" if best else f"top-1 {format_percent(step.accuracy)}"
    parts = [
        f"epoch {step.epoch:.0f}",
        f"loss {step.loss:.3f}",
        top1,
        f"{format_seconds(step.eta_seconds)} left",
        f"{step.images_per_second:,.0f} img/s",
    ]
    return "  ".join(parts)


def describe(event: Event, progress: RunProgress, run_id: str) -> str | None:
    """Return what an event is to a reader, or None for one that only moves the bar.

    Of the end nothing is told here: the results, or the error, do.
    """
    match event:
        case RunStarted():
            return f"run {run_id}: {event_text(event)}"
        case Validated():
            return _describe_validation(event, progress)
        case Paused():
            return f"{event_text(event)}; go on with: {command('runs', 'resume', run_id)}"
        case Tested() | Stopped() | Finished() | Failed():
            return None
        case _:
            return event_text(event)


def _describe_validation(event: Validated, progress: RunProgress) -> str:
    trained = next((entry for entry in progress.epochs[-1:] if entry.epoch == event.epoch), None)
    loss = ""
    if trained:
        number = f"{trained.loss:.3f}" if isfinite(trained.loss) else "–"
        loss = f"loss {number}  train {format_percent(trained.accuracy)}  "
    mark = "  kept" if event.is_best else ""
    return f"epoch {event.epoch:>3}  {loss}validation {format_percent(event.top1)}{mark}"


def _figures_column() -> ProgressColumn:
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Figures(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(str(task.fields["figures"]), no_wrap=True)

    return Figures()
