"""Tab 2: a run as it trains, or as it trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from vixtui.errors import UsageError, VixtuiError
from vixtui.hardware.host import usable_cores
from vixtui.runs import control
from vixtui.runs.config import RunConfig
from vixtui.runs.control import Command
from vixtui.runs.describe import source_title
from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import Event, EventTail
from vixtui.runs.progress import RunProgress
from vixtui.text import format_percent, safe
from vixtui.tui import story
from vixtui.tui.curves import RunCurves
from vixtui.tui.messages import OpenRun, StartTraining
from vixtui.tui.screens.base import TabScreen
from vixtui.tui.widgets.chart import Chart
from vixtui.tui.widgets.fluid import Fluid
from vixtui.tui.widgets.log_pane import LogPane

_LOOK_SECONDS = 1.0
# Painting takes processor time, of which a training on all cores should lose little.
_LOOKS_PER_PAINT, _LOOKS_PER_PAINT_ON_ALL_CORES = 1, 5
_STARTING = "Starting the engine and measuring what is fastest here: a few seconds."


class TrainScreen(TabScreen):
    """Charts, figures and log of the current run, live."""

    TAB = "train"
    HELP = """\
Loss is what training lowers; accuracy is the share of pictures named right. Training figures
are taken on pictures the model learns from, with their random changes, so they may lie below
validation figures, which are taken on pictures it never learns from. Dots show the spread.

Kept are the weights that will be tested: the latest, unless clearly worse than earlier ones.

Memory: what the plan is predicted to need, within the limit that you set; and what the training
was measured to take so far. The system does not hold it to the limit.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "Pause", tooltip="pause, or go on"),
        Binding("space", "go_on", "Go on", tooltip="pause, or go on"),
        Binding("s", "stop", "Stop", tooltip="save, stop, keep the weights"),
        Binding("y", "log_scale", "Log scale", tooltip="loss on a logarithmic scale"),
        Binding("l", "large_log", "Log", tooltip="all log lines"),
        Binding("r", "resume", "Resume", tooltip="go on with a stopped or failed run"),
        Binding("enter", "test", "Test", key_display="Enter", tooltip="look at the test results"),
    ]

    @dataclass
    class Loaded(Message):
        """The events written before the screen looked."""

        run: RunDirectory
        tail: EventTail
        events: list[Event]
        config: RunConfig | None

    def __init__(self) -> None:
        super().__init__()
        self.run: RunDirectory | None = None
        self.progress = RunProgress()
        self.state = ""
        self._config: RunConfig | None = None
        self._tail: EventTail | None = None
        self._curves = RunCurves()
        self._asked: Command | None = None
        self._shown_banner = Content("")
        self._stale, self._looks_since_paint = False, 0
        self._cores = usable_cores()
        self._unshown: list[str] = []
        self._quiet = True  # no event has come since the run was opened

    def body(self) -> Iterable[Widget]:
        terminal = self.vixtui.terminal
        yield Static(id="train-banner", markup=False)
        with Horizontal(id="train-main"):
            with Vertical(classes="panel", id="charts"):
                yield Chart("Loss", terminal=terminal, id="loss")
                yield Chart(
                    "Accuracy %",
                    terminal=terminal,
                    value_format="{:.1f}".format,
                    y_range=(0, 100),
                    id="accuracy",
                )
            with Vertical(classes="panel", id="train-side"):
                yield Fluid(id="train-facts")
                yield LogPane(id="train-log")

    def on_mount(self) -> None:
        """Follow the app's current run."""
        self.query_one("#loss", Chart).show(self._curves.loss)
        self.query_one("#accuracy", Chart).show(self._curves.accuracy)
        self.watch(self.app, "current_run", self._show_run)
        self.watch(self.app, "starting", self._show_starting)
        self.set_interval(_LOOK_SECONDS, self._look)

    def _show_run(self, run: RunDirectory | None) -> None:
        self.run, self._tail, self._config, self.state = run, None, None, ""
        self._asked, self._quiet = None, True
        self._forget()
        self.query_one(LogPane).clear()
        self._unshown = []
        if run is not None:
            self._load(run)
        self._refresh()
        self.refresh_bindings()

    def _show_starting(self, title: str) -> None:
        if title:
            self.query_one("#charts").border_title = "New run"
            self.query_one("#train-side").border_title = Content(title)
        self._refresh()

    def _forget(self) -> None:
        self.progress = RunProgress()
        self._curves.rebuild(self.progress)

    @work(thread=True, exclusive=True, group="load")
    def _load(self, run: RunDirectory) -> None:
        tail = EventTail(run.events_path)
        try:
            config = run.config()
        except UsageError:
            config = None
        self.post_message(self.Loaded(run, tail, tail.poll(), config))

    @on(Loaded)
    def _take_events(self, event: Loaded) -> None:
        if event.run == self.run:
            self._tail, self._config = event.tail, event.config
            self.query_one("#charts").border_title = Content(safe(event.run.id))
            if event.config is not None:
                title = f"{event.config.preset} on {source_title(event.config.data.source)}"
                self.query_one("#train-side").border_title = Content(safe(title))
            self._apply(event.events)
            self._check_life()
            self._refresh()

    def _apply(self, events: list[Event]) -> None:
        for event in events:
            self.progress.apply(event)
        self._curves.update(self.progress, events)
        self._unshown += [line for event in events if (line := story.log_line(event))]
        self._stale = True

    def _look(self) -> None:
        ended = self.progress.ended
        if self._tail is not None and (events := self._tail.poll()):
            self._quiet = False
            self._apply(events)
        self._check_life()
        if self.progress.ended and not ended:
            self._tell_end()
        self._looks_since_paint += 1
        if self.is_current and self._looks_since_paint >= self._looks_per_paint():
            self._redraw()

    def _looks_per_paint(self) -> int:
        started, built = self.progress.started, self.progress.model
        if self.state != "training" or started is None or built is None or started.device != "cpu":
            return _LOOKS_PER_PAINT
        free_cores = self._cores - built.threads * built.processes
        return _LOOKS_PER_PAINT if free_cores > 0 else _LOOKS_PER_PAINT_ON_ALL_CORES

    def _redraw(self) -> None:
        if self._stale:
            self._refresh()

    def on_screen_resume(self) -> None:
        """Show what came while another tab was shown."""
        self._redraw()

    def _check_life(self) -> None:
        if self.run is None or self._tail is None:
            return
        state = self.run.state(self.progress)
        resuming = self._quiet and self.vixtui.engine_lives(self.run)
        if resuming and state in ("stopped", "failed", "lost"):
            state = "starting"
        if state != self.state:
            self.state, self._asked = state, None
            self._refresh()
            self.refresh_bindings()

    def _tell_end(self) -> None:
        if not self.is_current and self.run is not None:
            self.tell(f"{safe(self.run.id)}: {self.progress.phase}", error=self.state == "failed")

    def _refresh(self) -> None:
        self._stale, self._looks_since_paint = False, 0
        if self._unshown:
            self.query_one(LogPane).add(self._unshown)
            self._unshown = []
        for chart in self.query(Chart):
            chart.redraw()
        ascii = self.vixtui.terminal.ascii
        facts = story.facts(self._config, self.progress, self._shown_state(), ascii=ascii)
        self.query_one(Fluid).show(partial(story.fact_text, facts))
        self._show_banner()

    def _shown_state(self) -> str:
        if self.vixtui.starting or (self.run is not None and not self.state):
            return "starting"
        if self.run is None:
            return "nothing trains yet"
        wait = {"pause": "pausing", "resume": "going on", "stop": "stopping"}
        return wait.get(self._asked or "", self.state)

    def _show_banner(self) -> None:
        text, trouble = self._banner()
        if text == self._shown_banner:  # laying out the screen anew is slow
            return
        self._shown_banner = text
        banner = self.query_one("#train-banner", Static)
        banner.set_class(bool(text), "-shown")
        banner.set_class(trouble, "-trouble")
        banner.update(text)

    def _banner(self) -> tuple[Content, bool]:
        if self._shown_state() == "starting":
            return Content(_STARTING), False
        if self.run is None:
            return Content("Press 1 to pick a model, or 5 to open a run."), False
        if self.state == "done":
            tested = self.progress.tested
            right = "" if tested is None else f" {format_percent(tested.top1)} right in the test."
            hint = "Enter shows the test, 4 tries your pictures."
            return Content.assemble((f"Done.{right}", "bold"), " ", hint), False
        exit_code = self.vixtui.engine_exit(self.run)
        killed = self.state == "lost" and self.run.oom_killed()
        advice = story.advice(self.state, self.progress, exit_code, oom_killed=killed)
        if advice is None:
            return Content(""), False
        return Content.assemble(
            (f"{advice.what}\n", "bold"), advice.remedy
        ), self.state != "stopped"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense now."""
        if action == "pause":
            return self.state == "training"
        if action == "go_on":
            return self.state == "paused"
        if action == "stop":
            return self.state in ("starting", "training", "paused")
        if action == "resume":
            return self.state in ("stopped", "failed", "lost")
        if action == "test":
            return self.run is not None and self.state not in ("", "starting", "training")
        return True

    def _send(self, command: Command) -> None:
        if self.run is None:
            return
        try:
            control.send(self.run.control_path, command)
        except VixtuiError as error:
            self.tell(error.message, error=True)
        else:
            self._asked = command
            self._refresh()

    def action_pause(self) -> None:
        """Pause."""
        self._send("pause")

    def action_go_on(self) -> None:
        """End the pause."""
        self._send("resume")

    def action_stop(self) -> None:
        """Save and stop."""
        self._send("stop")

    def action_log_scale(self) -> None:
        """Change the scale of the loss."""
        self.query_one("#loss", Chart).toggle_log()

    def action_large_log(self) -> None:
        """Give the log the whole screen, or less."""
        self.toggle_class("-large-log")

    def action_test(self) -> None:
        """Look at the results."""
        if self.run is not None:
            self.post_message(OpenRun(self.run, "test"))

    def action_resume(self) -> None:
        """Start the engine again on the same run."""
        if self.run is not None:
            from vixtui.tui.choice import resume

            self.post_message(StartTraining(f"{safe(self.run.id)}, resumed", resume(self.run)))
