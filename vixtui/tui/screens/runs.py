"""Tab 5: all runs, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import DataTable, Static

from vixtui.errors import VixtuiError
from vixtui.paths import runs_dir
from vixtui.runs.config import RunConfig
from vixtui.runs.describe import (
    RunSummary,
    differences,
    setting_text,
    settings,
    source_title,
)
from vixtui.runs.directory import RunDirectory, check_run_name, rename_run
from vixtui.runs.removal import remove_run
from vixtui.text import format_percent, format_seconds, safe
from vixtui.tui import choice, story
from vixtui.tui.history import History, ago
from vixtui.tui.messages import OpenRun, StartTraining
from vixtui.tui.screens.base import TabScreen
from vixtui.tui.screens.dialogs import ChoiceDialog, PromptDialog
from vixtui.tui.widgets.canvas import MARKS
from vixtui.tui.widgets.chart import Chart, Curve
from vixtui.tui.widgets.fit import fit
from vixtui.tui.widgets.fluid import Fluid
from vixtui.tui.widgets.row_table import Column, RowTable
from vixtui.tui.widgets.series import Series

_REFRESH_SECONDS = 2.0
_MOST_MARKED = 6
_TALL = 28
_NAME, _CELL = 18, 8
_LABELS = {
    "data.train": "train pictures",
    "data.validation": "val. pictures",
    "data.test": "test pictures",
}
_COLUMNS = (
    Column("", 2),
    Column("Run", 20, stretch=True),
    Column("State", 10),
    Column("Model", 24, from_width=140),
    Column("Data", 8, from_width=100),
    Column("Valid.", 7, "right"),
    Column("Test", 7, "right"),
    Column("Time", 7, "right", from_width=100),
    Column("Started", 10),
)


class RunTable(RowTable):
    """All runs; Enter opens one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Open", key_display="Enter", tooltip="open the run"),
    ]


class RunsScreen(TabScreen):
    """The history, and a comparison of marked runs."""

    TAB = "runs"
    AUTO_FOCUS = "RowTable"
    HELP = """\
Valid. is the validation accuracy of the kept weights, Test their accuracy on the test pictures.

A lost run is one whose engine went away without a word, for example in a power cut; r goes on
from its last save.

Marked runs are compared: their validation curves, and the settings in which they differ.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", tooltip="mark a run to compare it with others"),
        Binding("r", "resume", "Resume", tooltip="go on with a stopped, failed or lost run"),
        Binding("n", "rename", "Rename", tooltip="give the run another name"),
        Binding("d", "delete", "Delete", tooltip="delete the run and its weights"),
    ]

    @dataclass
    class Read(Message):
        """The run folders have been looked at."""

        summaries: list[RunSummary]

    def __init__(self) -> None:
        super().__init__()
        self.summaries: list[RunSummary] = []
        self.marked: list[RunDirectory] = []
        self._history = History()
        self._was_read = False

    def body(self) -> Iterable[Widget]:
        with Vertical(classes="panel", id="runs-panel") as panel:
            panel.border_title = "Runs"
            yield RunTable(_COLUMNS)
            yield Static("No runs yet.\n\nPress 1 to pick a model and train.", classes="empty")
        with Horizontal(classes="panel", id="compare") as panel:
            panel.border_title = "Compare"
            yield Chart(
                "Validation accuracy %",
                terminal=self.vixtui.terminal,
                value_format="{:.1f}".format,
                id="compare-chart",
            )
            with VerticalScroll(id="compare-table", can_focus=False):
                yield Fluid(id="compare-text")

    def on_mount(self) -> None:
        """Keep the list fresh while it is shown."""
        self.set_interval(_REFRESH_SECONDS, self._refresh_if_shown)

    def on_screen_resume(self) -> None:
        """Look at the folders at once."""
        self._read()

    def _refresh_if_shown(self) -> None:
        if self.is_current:
            self._read()

    @work(thread=True, exclusive=True, group="read")
    def _read(self) -> None:
        self.post_message(self.Read(self._history.read()))

    @on(Read)
    def _take(self, event: Read) -> None:
        self.summaries, self._was_read = event.summaries, True
        present = {summary.run for summary in event.summaries}
        self.marked = [run for run in self.marked if run in present]
        self._show()

    def on_resize(self) -> None:
        """Use the form that suits the new width."""
        self._show()

    def _show(self) -> None:
        panel = self.query_one("#runs-panel")
        where = f"{len(self.summaries)} in {safe(str(runs_dir()), 60)}"
        panel.border_subtitle = Content(where if self._was_read else "reading …")
        self.query_one(RowTable).show_rows([self._row(summary) for summary in self.summaries])
        self.query_one(".empty").display = self._was_read and not self.summaries
        self._show_comparison()

    def _row(self, summary: RunSummary) -> tuple[str, Sequence[Text | str]]:
        ascii = self.vixtui.terminal.ascii
        mark = ""
        if summary.run in self.marked:
            number = self.marked.index(summary.run) + 1
            mark = f"{number}{'*' if ascii else '■'}"
        config = summary.config
        return summary.run.id, (
            mark,
            safe(summary.run.id),
            story.state_words(summary.state, ascii=ascii).replace("starting engine", "starting"),
            safe(config.preset) if config else "?",
            source_title(config.data.source) if config else "?",
            format_percent(summary.best),
            format_percent(summary.test),
            "–" if summary.seconds is None else format_seconds(summary.seconds),
            ago(summary.started),
        )

    @on(DataTable.RowHighlighted)
    def _show_comparison(self) -> None:
        """Show the marked runs side by side, or the one under the cursor where there is room."""
        comparing = len(self.marked) > 1
        chosen = [self._summary(run) for run in self.marked] if comparing else [self._chosen()]
        shown = [summary for summary in chosen if summary is not None]
        panel = self.query_one("#compare")
        panel.display = bool(shown) and (comparing or self.app.size.height >= _TALL)
        panel.border_title = "Compare" if comparing else "This run"
        panel.border_subtitle = "" if comparing else "Space marks runs to compare"
        self.query_one("#compare-chart", Chart).show(
            [Curve(str(number), _validation(entry)) for number, entry in enumerate(shown, start=1)]
        )
        self.query_one("#compare-text", Fluid).show(partial(_comparison, shown))

    def _summary(self, run: RunDirectory | None) -> RunSummary | None:
        return next((entry for entry in self.summaries if entry.run == run), None)

    def _chosen(self) -> RunSummary | None:
        key = self.query_one(RowTable).chosen
        return next((entry for entry in self.summaries if entry.run.id == key), None)

    @on(DataTable.RowSelected)
    def _open(self) -> None:
        if (chosen := self._chosen()) is not None:
            tab = "test" if chosen.run.evaluation_path.is_file() else "train"
            self.post_message(OpenRun(chosen.run, tab if chosen.progress.ended else "train"))

    def action_mark(self) -> None:
        """Mark a run, or take the mark away."""
        chosen = self._chosen()
        if chosen is None:
            return
        if chosen.run in self.marked:
            self.marked.remove(chosen.run)
        elif len(self.marked) == _MOST_MARKED:
            self.tell(f"At most {_MOST_MARKED} runs can be compared.")
        else:
            self.marked.append(chosen.run)
        self._show()

    def action_resume(self) -> None:
        """Go on with a run that is not finished."""
        chosen = self._chosen()
        if chosen is None:
            return
        if chosen.state in ("stopped", "failed", "lost"):
            title = f"{safe(chosen.run.id)}, resumed"
            self.post_message(StartTraining(title, choice.resume(chosen.run)))
        else:
            self.tell(f"This run is {chosen.state}; there is nothing to resume.")

    def action_rename(self) -> None:
        """Ask for another name."""
        chosen = self._chosen()
        if chosen is None:
            return

        def take(name: str | None) -> None:
            if name is not None:
                self._replace(chosen.run, partial(rename_run, chosen.run, name))

        self.app.push_screen(
            PromptDialog(
                "Another name for this run",
                "Letters, digits, dot, dash and underscore.",
                safe(chosen.run.id),
                check_run_name,
            ),
            take,
        )

    def _replace(self, old: RunDirectory, change: Callable[[], RunDirectory | None]) -> None:
        """Rename or delete a run, or tell why that cannot be."""
        try:
            new = change()
        except VixtuiError as error:
            self.tell(error.message, error=True)
            return
        self.marked = [run for run in self.marked if run != old]
        if self.vixtui.current_run == old:
            self.vixtui.current_run = new
        self._read()

    def action_delete(self) -> None:
        """Ask, then delete."""
        chosen = self._chosen()
        if chosen is None:
            return

        def take(answer: str | None) -> None:
            if answer == "delete":
                self._replace(chosen.run, partial(remove_run, chosen.run))

        self.app.push_screen(
            ChoiceDialog(
                "Delete this run?",
                f"{safe(chosen.run.id)}: its weights, curves and results. This cannot be undone.",
                [("keep", "Keep it"), ("delete", "Delete it")],
            ),
            take,
        )


def _validation(summary: RunSummary) -> Series:
    series = Series()
    for event in summary.progress.validations:
        series.add(event.epoch, 100 * event.top1)
    return series


def _comparison(summaries: Sequence[RunSummary], width: int) -> Content:
    """Return the runs' results and the settings in which they differ, side by side.

    Of a single run all settings are returned.

    Args:
        width: in cells, shared out to the runs.
    """
    cell = max(_CELL, (width - _NAME) // max(1, len(summaries)))
    configs = [summary.config for summary in summaries if summary.config is not None]
    rows = [
        ("validation", [format_percent(summary.best) for summary in summaries]),
        ("test", [format_percent(summary.test) for summary in summaries]),
    ]
    if len(configs) == len(summaries):
        rows += _settings(configs)
    lines = [
        Content(f"{number} {MARKS[number - 1]} {safe(summary.run.id, 60)}")
        for number, summary in enumerate(summaries, start=1)
    ]
    if len(summaries) > 1:
        head = "".join(f"{number:<{cell}}" for number in range(1, len(summaries) + 1))
        lines += [Content(""), Content.styled(f"{'':<{_NAME}}{head}", "bold")]
    for name, values in rows:
        cells = "".join(f"{fit(safe(value), cell - 1)} " for value in values)
        lines.append(Content.assemble((f"{fit(name, _NAME - 1)} ", "bold"), cells))
    return Content("\n").join(lines)


def _settings(configs: Sequence[RunConfig]) -> list[tuple[str, list[str]]]:
    """Return all settings of one run, or those in which several differ, by short names."""
    if len(configs) == 1:
        found = {name: (value,) for name, value in settings(configs[0]).items()}
    else:
        found = differences(configs)
    return [
        (
            _LABELS.get(name, name.rpartition(".")[2].replace("_", " ")),
            [setting_text(name, value) for value in values],
        )
        for name, values in found.items()
    ]
