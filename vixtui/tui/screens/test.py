"""Tab 3: what the trained model gets right, and what it mixes up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from vixtui.errors import DataError, VixtuiError
from vixtui.files import write_atomically
from vixtui.runs.directory import RunDirectory, newest_model
from vixtui.runs.evaluation import Evaluation, read_evaluation
from vixtui.text import safe
from vixtui.tui.messages import OpenRun
from vixtui.tui.screens import test_text
from vixtui.tui.screens.base import TabScreen
from vixtui.tui.widgets.fluid import Fluid
from vixtui.tui.widgets.matrix import Matrix


class TestScreen(TabScreen):
    """The test results of the current run, or of the newest trained one."""

    TAB = "test"
    AUTO_FOCUS = "Matrix"
    HELP = test_text.HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "evaluate", "Test again", tooltip="test the weights again"),
        Binding("n", "numbers", "Counts or %", tooltip="counts or per cent in the matrix"),
        Binding("p", "predict", "Predict", tooltip="try a picture of yours"),
    ]

    @dataclass
    class Asked(Message):
        """How far a test has come; `done` of `total` pictures."""

        run: RunDirectory
        done: int
        total: int

    @dataclass
    class Answered(Message):
        """The engine has answered, or failed; `error` and `remark` are safe to show."""

        run: RunDirectory
        result: Evaluation | None = None
        error: str = ""
        remark: str = ""

    def __init__(self) -> None:
        super().__init__()
        self.run: RunDirectory | None = None
        self.result: Evaluation | None = None
        self.busy = False
        self._notice = ""

    def body(self) -> Iterable[Widget]:
        yield Static(id="test-empty", classes="empty", markup=False)
        with Horizontal(id="test-main"):
            with Vertical(id="test-left"):
                with Vertical(classes="panel", id="confusion"):
                    yield Matrix(terminal=self.vixtui.terminal)
                with VerticalScroll(classes="panel", id="confused", can_focus=False) as panel:
                    panel.border_title = "Most mixed up"
                    yield Fluid(id="confused-text")
            with Vertical(id="test-right"):
                with Vertical(classes="panel", id="numbers") as panel:
                    panel.border_title = "Result"
                    yield Fluid(id="numbers-text")
                with VerticalScroll(classes="panel", id="classes") as panel:
                    panel.border_title = "Per class, worst first"
                    yield Fluid(id="classes-text")
                with Vertical(classes="panel", id="calibration") as panel:
                    panel.border_title = "Calibration: how sure, how right"
                    yield Fluid(id="calibration-text")

    def on_screen_resume(self) -> None:
        """Read the results anew each time the tab is shown."""
        run = self.vixtui.current_run or newest_model()
        if run != self.run:
            self.run, self._notice = run, ""
        self.result = None
        if run is not None:
            try:
                self.result = read_evaluation(run.evaluation_path)
            except DataError as error:
                self._notice = error.message
        self._show()

    def _show(self) -> None:
        result, ascii = self.result, self.vixtui.terminal.ascii
        self.query_one("#test-main").display = result is not None
        empty = self.query_one("#test-empty", Static)
        empty.display = result is None
        if result is None or self.run is None:
            empty.update(Content(self._empty_text()))
            return
        panel = self.query_one("#confusion")
        panel.border_title = Content(safe(self.run.id, 60))
        notice = self._notice or f"{result.images:,} {result.split} pictures"
        panel.border_subtitle = Content(notice)
        self.query_one(Matrix).show(result.classes, result.confusion)
        texts: dict[str, Callable[[int], Content]] = {
            "numbers": lambda width: test_text.numbers(result),
            "confused": lambda width: test_text.confused(result, 20),
            "classes": lambda width: test_text.classes(result, width, ascii=ascii),
            "calibration": lambda width: test_text.calibration(result, width, ascii=ascii),
        }
        for name, write in texts.items():
            self.query_one(f"#{name}-text", Fluid).show(write)

    def _empty_text(self) -> str:
        if self._notice:
            return self._notice
        if self.run is None:
            return "Nothing trained yet.\n\nPress 1 to pick a model, or 5 to open a run."
        if not self.run.model_path.is_file():
            return (
                f"{safe(self.run.id)} has no trained weights yet.\n\n"
                "The test comes by itself at the end of the training; 2 shows how far it is."
            )
        return f"{safe(self.run.id)} has not been tested.\n\nPress e to test it now."

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense now."""
        if action == "numbers":
            return self.result is not None
        if action == "evaluate":
            return not self.busy
        return True

    def action_numbers(self) -> None:
        """Change between counts and per cent."""
        self.query_one(Matrix).toggle_percent()

    def action_predict(self) -> None:
        """Try the model on a picture."""
        if self.run is not None:
            self.post_message(OpenRun(self.run, "predict"))

    def action_evaluate(self) -> None:
        """Have the engine test the run's weights."""
        if self.run is None or not self.run.model_path.is_file():
            self.tell("There are no weights to test yet.", error=True)
        elif not self.busy:
            self.busy = True
            self._notice = "starting engine …"
            self._show()
            self._ask(self.run)

    @work(thread=True, group="evaluate")
    def _ask(self, run: RunDirectory) -> None:
        warnings: list[str] = []

        def progress(message: dict[str, Any]) -> None:
            if "warning" in message:
                warnings.append(safe(message["warning"]))
            else:
                self.post_message(self.Asked(run, int(message["done"]), int(message["total"])))

        try:
            answer = self.vixtui.warm_engine.ask(
                "evaluate", on_progress=progress, model=str(run.model_path), source=None,
                run=str(run.path), split="test",
            )  # fmt: skip
            result = Evaluation.from_dict(answer)
            write_atomically(run.evaluation_path, json.dumps(answer).encode())
        except VixtuiError as error:
            self.post_message(self.Answered(run, error=error.message))
        else:
            more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
            self.post_message(self.Answered(run, result, remark="".join(warnings[:1]) + more))

    @on(Asked)
    def _show_progress(self, event: Asked) -> None:
        if event.run == self.run and self.busy:
            self._notice = f"testing: {event.done:,} of {event.total:,} pictures"
            self._show()

    @on(Answered)
    def _take_answer(self, event: Answered) -> None:
        self.busy = False
        if event.run == self.run:
            self._notice = event.error
            self.result = event.result or self.result
            self._show()
        if event.error:
            self.tell(event.error, error=True)
        elif event.remark:
            self.tell(event.remark)
        self.refresh_bindings()
