"""Tab 1: what this machine can train, and Enter to do it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import DataTable, Static

from vixtui.data.sources import DataSource
from vixtui.errors import VixtuiError
from vixtui.hardware.machine import Machine
from vixtui.planning.recipe import default_seconds
from vixtui.planning.types import Candidate
from vixtui.runs.describe import source_title
from vixtui.text import format_seconds, safe
from vixtui.tui import choice
from vixtui.tui.choice import Outlook, Wish
from vixtui.tui.messages import StartTraining
from vixtui.tui.screens import pick_text
from vixtui.tui.screens.base import TabScreen
from vixtui.tui.screens.dialogs import PromptDialog, TextDialog
from vixtui.tui.widgets.row_table import Column, RowTable
from vixtui.units import parse_bytes, parse_seconds


class CandidateTable(RowTable, inherit_bindings=False):
    """The models that fit; Left and Right change the memory."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "select_cursor", "Train this", key_display="Enter",
            tooltip="train the marked model",
        ),
        Binding(
            "left", "screen.budget(-1)", "Memory", key_display="←→",
            tooltip="less or more memory for the training",
        ),
        Binding("right", "screen.budget(1)", show=False),
        Binding("up", "cursor_up", show=False),
        Binding("down", "cursor_down", show=False),
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
        Binding("home", "scroll_top", show=False),
        Binding("end", "scroll_bottom", show=False),
    ]  # fmt: skip


_COLUMNS = (
    Column("", 1),
    Column("Model", 22),
    Column("Parameters", 10, "right", from_width=140),
    Column("Memory", 7, "right"),
    Column("Update", 16, from_width=140),
    Column("An epoch", 8, "right"),
    Column("Epochs", 6, "right", from_width=100),
    Column("Accuracy", 8, "right"),
    Column("Why", 10, stretch=True),
)


# How old a figure is, is said to the second; it need not be said every second.
_AGES_SECONDS = 10.0


class PickScreen(TabScreen):
    """This machine, what fits it, and what happens on Enter."""

    TAB = "pick"
    AUTO_FOCUS = "#candidates"
    HELP = pick_text.HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "type_budget", "Type memory", show=False, tooltip="type the memory"),
        Binding(
            "left_square_bracket", "time(-1)", "Time", key_display="[ ]",
            tooltip="less or more time for the training",
        ),
        Binding("right_square_bracket", "time(1)", show=False),
        Binding("t", "type_time", "Type time", show=False, tooltip="type the time"),
        Binding("d", "data", "Data", tooltip="built-in pictures or a folder of yours"),
        Binding("i", "explain", "Explain", tooltip="where the marked model's numbers come from"),
        Binding("r", "look_again", "Look again", show=False, tooltip="look at this machine again"),
    ]  # fmt: skip

    @dataclass
    class Looked(Message):
        """The machine has been probed."""

        machine: Machine

    @dataclass
    class Opened(Message):
        """The pictures that were wished for have been looked at."""

        wished: str
        source: DataSource

    @dataclass
    class Planned(Message):
        """What fits is known."""

        outlook: Outlook

    @dataclass
    class Trouble(Message):
        """Something the user must change; `message` is safe to show."""

        message: str

    def __init__(self) -> None:
        super().__init__()
        self.wish = Wish()
        self.machine: Machine | None = None
        self.source: DataSource | None = None
        self.outlook: Outlook | None = None
        self._trouble = ""

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="pick-top"):
            with Vertical(classes="panel", id="machine") as panel:
                panel.border_title = "This machine"
                yield Static(pick_text.LOOKING, id="machine-facts", markup=False)
            with Vertical(classes="panel", id="wishes") as panel:
                panel.border_title = "Your wishes"
                yield Static(id="wish-facts", markup=False)
        with Vertical(classes="panel", id="fits") as panel:
            panel.border_title = "Models, best first; accuracy on a reference set"
            yield CandidateTable(_COLUMNS, id="candidates")
        with Vertical(classes="panel", id="on-enter") as panel:
            panel.border_title = "What happens on Enter"
            yield Static(id="enter-text", markup=False)

    def on_mount(self) -> None:
        """Look at the machine and the pictures once the first frame is out."""
        self._show()
        self.call_after_refresh(self.action_look_again)
        self.set_interval(_AGES_SECONDS, self._show_machine)

    def action_look_again(self) -> None:
        """Probe the machine and open the pictures."""
        self._look()
        self._open(self.wish.source)

    @work(thread=True, exclusive=True, group="look")
    def _look(self) -> None:
        self.post_message(self.Looked(self.vixtui.probe()))

    @work(thread=True, exclusive=True, group="open")
    def _open(self, source: str) -> None:
        try:
            self.post_message(self.Opened(source, choice.open_pictures(source)))
        except VixtuiError as error:
            self.post_message(self.Trouble(error.message))

    @work(thread=True, exclusive=True, group="plan")
    def _plan(self, wish: Wish, source: DataSource, machine: Machine) -> None:
        try:
            self.post_message(self.Planned(choice.plan(wish, source, machine)))
        except VixtuiError as error:
            self.post_message(self.Trouble(error.message))

    @on(Looked)
    def _take_machine(self, event: Looked) -> None:
        self.machine = event.machine
        self._replan()

    @on(Opened)
    def _take_source(self, event: Opened) -> None:
        if event.wished == self.wish.source:
            self.source = event.source
            self._replan()

    @on(Planned)
    def _take_outlook(self, event: Planned) -> None:
        if event.outlook.wish == self.wish:
            self.outlook, self._trouble = event.outlook, ""
            table = self.query_one(CandidateTable)
            rows = pick_text.rows(event.outlook, ascii=self.vixtui.terminal.ascii)
            # The best row stays chosen unless the user went to another.
            table.show_rows(rows, from_top=table.cursor_row <= 0)
            self._show()

    @on(Trouble)
    def _take_trouble(self, event: Trouble) -> None:
        self.outlook, self._trouble = None, event.message
        self.query_one(CandidateTable).show_rows([])
        self._show()

    def _replan(self) -> None:
        self._show()
        if self.machine is not None and self.source is not None:
            self._plan(self.wish, self.source, self.machine)

    def _change(self, **wanted: object) -> None:
        self.wish = replace(self.wish, **wanted)  # type: ignore[arg-type]
        self._replan()

    def _show(self) -> None:
        self._show_machine()
        wishes = pick_text.wish_text(
            self.wish, self.source, self.outlook, looking=not self._trouble, narrow=self.narrow
        )
        self.query_one("#wish-facts", Static).update(wishes)
        subtitle = ""
        if self.outlook is not None:
            fitting = sum(entry.fits for entry in self.outlook.candidates)
            subtitle = f"{fitting} of {len(self.outlook.candidates)} fit"
        self.query_one("#fits").border_subtitle = subtitle
        self._show_enter()

    def _show_machine(self) -> None:
        if self.machine is not None:
            text = pick_text.machine_text(self.machine, narrow=self.narrow)
            self.query_one("#machine-facts", Static).update(text)

    def on_resize(self) -> None:
        """Use the form that suits the new width."""
        self._show()

    @on(DataTable.RowHighlighted)
    def _show_enter(self) -> None:
        text = Content(self._trouble).stylize("bold") if self._trouble else pick_text.PLANNING
        if self.outlook is not None and (candidate := self._chosen()) is not None:
            text = pick_text.on_enter(self.outlook, candidate)
        self.query_one("#enter-text", Static).update(text)

    def _chosen(self) -> Candidate | None:
        key = self.query_one(CandidateTable).chosen
        found = self.outlook.candidates if self.outlook is not None else ()
        return next((entry for entry in found if entry.preset == key), None)

    @on(DataTable.RowSelected)
    def action_train(self) -> None:
        """Start the marked model."""
        candidate = self._chosen()
        if self.outlook is None or candidate is None:
            self.tell(self._trouble or "One moment: still looking at this machine.")
        elif not candidate.fits:
            self.tell(f"This model does not fit: {safe(candidate.reason)}", error=True)
        else:
            title = f"{candidate.title} on {source_title(self.outlook.source.source)}"
            self.post_message(StartTraining(title, partial(choice.launch, self.outlook, candidate)))

    def action_budget(self, step: int) -> None:
        """Take the next smaller or larger budget."""
        if self.machine is None:
            return
        now = (self.wish.budget, self.wish.device)
        choices = choice.budget_choices(self.machine, now)
        at = choices.index(now) + step
        budget, device = choices[max(0, min(len(choices) - 1, at))]
        self._change(budget=budget, device=device)

    def action_time(self, step: int) -> None:
        """Take the next shorter or longer time limit."""
        steps = choice.TIME_STEPS
        at = min(range(len(steps)), key=lambda n: abs(steps[n] - self.wish.seconds))
        self._change(seconds=steps[max(0, min(len(steps) - 1, at + step))])

    def action_type_budget(self) -> None:
        """Ask for the budget."""
        machine = self.machine
        if machine is None:
            return

        def take(text: str | None) -> None:
            if text is not None:
                self._change(budget=text.strip() or None)

        def check(text: str) -> None:
            if text.strip():
                parse_bytes(text, whole=machine.ram_total.bytes, option="memory")

        self.app.push_screen(
            PromptDialog(
                "Memory for the training",
                "For example 4GB, 800MB or 50%. Empty: all that is free, less a margin.",
                self.wish.budget or "",
                check,
            ),
            take,
        )

    def action_type_time(self) -> None:
        """Ask for the time limit."""

        def take(text: str | None) -> None:
            if text is not None:
                self._change(seconds=parse_seconds(text))

        self.app.push_screen(
            PromptDialog(
                "Time for the training",
                "For example 90s, 2m or 1h30m. The training ends on time.",
                format_seconds(self.wish.seconds).replace(" ", "")
                if self.wish.seconds < 60
                else "",
                partial(parse_seconds, option="time"),
            ),
            take,
        )

    def action_data(self) -> None:
        """Ask for the pictures."""
        from vixtui.tui.screens.data_dialog import DataDialog

        def take(source: str | None) -> None:
            if source is not None:
                self.source = self.outlook = None
                self._trouble = ""
                self.query_one(CandidateTable).show_rows([])
                self.wish = replace(self.wish, source=source, seconds=default_seconds(source))
                self._show()
                self._open(source)

        self.app.push_screen(DataDialog(self.wish.source, ascii=self.vixtui.terminal.ascii), take)

    def action_explain(self) -> None:
        """Show where the marked model's numbers come from."""
        candidate = self._chosen()
        if self.outlook is not None and candidate is not None:
            self.app.push_screen(
                TextDialog(candidate.title, pick_text.explanation(self.outlook, candidate))
            )
