"""The app: five tabs, one run looked at, and the way out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.worker import WorkerFailed

from vixtui.errors import UsageError, VixtuiError
from vixtui.hardware.machine import Machine
from vixtui.paths import command
from vixtui.runs import control
from vixtui.runs.directory import RunDirectory, list_runs
from vixtui.text import safe
from vixtui.tui import choice
from vixtui.tui.messages import OpenRun, StartTraining
from vixtui.tui.screens.base import NARROW, TabScreen
from vixtui.tui.screens.pick import PickScreen
from vixtui.tui.theme import DARK, LIGHT, Terminal, WholeCellScrollBar, this_terminal
from vixtui.tui.warm import WarmEngine
from vixtui.tui.widgets.tab_bar import TABS


class VixtuiApp(App[None]):
    """Five tabs over the run directories.

    Args:
        probe: looks at the machine.
        terminal: what can be shown; looked up when not given.
    """

    TITLE = "vixtui"
    CSS_PATH = "app.tcss"
    DEFAULT_MODE = "pick"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-normal"), (140, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-short"), (28, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"open_tab('{key}')", TABS[key], show=False, id=f"tab.{key}")
            for number, key in enumerate(TABS, start=1)
        ),
        Binding("question_mark", "help", "Help", key_display="?", id="help"),
        Binding("q", "quit", "Quit", id="quit"),
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True, id="quit.anywhere"),
        Binding("ctrl+c", "quit", "Quit", show=False, id="quit.interrupt"),
    ]

    current_run: reactive[RunDirectory | None] = reactive(None, repaint=False)
    """The run that Train and Test show."""

    starting: reactive[str] = reactive("", repaint=False)
    """Title of a run that is being started, before it has a folder."""

    def __init__(
        self,
        *,
        probe: Callable[[], Machine] = choice.look_at_machine,
        terminal: Terminal | None = None,
    ) -> None:
        self.terminal = terminal or this_terminal()
        if not self.terminal.color:
            os.environ["NO_COLOR"] = "1"  # textual takes it out again
        super().__init__()
        ScrollBar.renderer = WholeCellScrollBar if self.terminal.ascii else ScrollBarRender
        self.animation_level = "none"
        self.probe = probe
        self.warm_engine = WarmEngine()
        self._engines: dict[RunDirectory, subprocess.Popen[bytes]] = {}
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        few_colors = self.terminal.few_colors and self.terminal.color
        self.theme = "ansi-dark" if few_colors else DARK.name
        for key in TABS:
            self.add_mode(key, partial(_make_screen, key))

    def on_mount(self) -> None:
        """Keep house in the background."""
        self.set_interval(5, self._keep_house)
        self.call_after_refresh(self._find_live_run)

    @work(thread=True)
    def _find_live_run(self) -> None:
        """Take up a training that an earlier session left running."""
        live = next((run for run in reversed(list_runs()) if run.alive()), None)
        if live is not None and not live.progress().ended:
            self.call_from_thread(self._take_up, live)

    def _take_up(self, run: RunDirectory) -> None:
        if self.current_run is None and not self.starting:
            self.current_run = run
            self.notify(f"{safe(run.id)} is still at work: 2 shows it.", markup=False)

    def _keep_house(self) -> None:
        self.warm_engine.close_if_idle()
        for process in self._engines.values():
            process.poll()

    def engine_exit(self, run: RunDirectory) -> int | None:
        """Return the exit code of a run's engine if this program started it and it is gone."""
        process = self._engines.get(run)
        return None if process is None else process.poll()

    def engine_lives(self, run: RunDirectory) -> bool:
        """Tell whether this program started an engine on the run that still lives."""
        process = self._engines.get(run)
        return process is not None and process.poll() is None

    def action_open_tab(self, key: str) -> None:
        """Show a tab."""
        if not self.screen.is_modal:
            self.switch_mode(key)

    def action_help(self) -> None:
        """Explain the keys and numbers of the tab."""
        from vixtui.tui.screens.help import help_dialog

        if isinstance(self.screen, TabScreen):
            self.push_screen(help_dialog(self.screen))

    @on(OpenRun)
    def _open_run(self, event: OpenRun) -> None:
        self.current_run = event.run
        self.action_open_tab(event.tab)

    @on(StartTraining)
    def _start(self, event: StartTraining) -> None:
        self._with_live_run(partial(self._launch_or_ask, event))

    def _launch_or_ask(self, event: StartTraining, live: RunDirectory | None) -> None:
        if self.starting or self.screen.is_modal:  # pressed twice
            return
        if live is None:
            self._launch(event)
            return
        from vixtui.tui.screens.dialogs import ChoiceDialog

        def decide(answer: str | None) -> None:
            if answer == "watch":
                self.current_run = live
                self.action_open_tab("train")
            elif answer == "both":
                self._launch(event)

        self.push_screen(
            ChoiceDialog(
                "A training is under way",
                f"{safe(live.id)} still trains. Two at once share memory and cores.",
                [("watch", "Watch it"), ("both", "Start the new one beside it")],
            ),
            decide,
        )

    def _launch(self, event: StartTraining) -> None:
        self.current_run = None
        self.starting = event.title
        self.action_open_tab("train")
        self._run_launch(event)

    @work(thread=True, group="launch")
    def _run_launch(self, event: StartTraining) -> None:
        try:
            run, process = event.launch()
        except VixtuiError as error:
            self.call_from_thread(self._launch_failed, error.message)
        else:
            self.call_from_thread(self._launched, run, process)

    def _launched(self, run: RunDirectory, process: subprocess.Popen[bytes]) -> None:
        self._engines[run] = process
        self.starting = ""
        self.current_run = run

    def _launch_failed(self, message: str) -> None:
        self.starting = ""
        self.notify(message, title="Not started", severity="error", timeout=15, markup=False)
        self.action_open_tab("pick")

    def _with_live_run(self, go_on: Callable[[RunDirectory | None], None]) -> None:
        """Call `go_on` with a run that an engine works on: the one looked at or one started here.

        Logs are read in a thread: those of long trainings would hold up the screen.
        """
        watched = [self.current_run] if self.current_run is not None else []
        self._find_live(go_on, (*watched, *self._engines))

    @work(thread=True, group="live")
    def _find_live(
        self, go_on: Callable[[RunDirectory | None], None], runs: Sequence[RunDirectory]
    ) -> None:
        working = (run for run in runs if self.engine_lives(run) or run.alive())
        live = next((run for run in working if not run.progress().ended), None)
        self.call_from_thread(go_on, live)

    async def action_quit(self) -> None:
        """Leave; ask first when a training is under way."""
        self._with_live_run(self._leave_or_ask)

    def _leave_or_ask(self, live: RunDirectory | None) -> None:
        if live is None:
            self._leave("")
            return
        from vixtui.tui.screens.dialogs import ChoiceDialog

        if isinstance(self.screen, ChoiceDialog):
            return

        def decide(answer: str | None) -> None:
            if answer == "keep":
                self._leave(
                    f"{live.id} goes on. Look at it again with: {command('attach', live.id)}"
                )
            elif answer == "stop":
                try:
                    control.send(live.control_path, "stop")
                except VixtuiError as error:
                    self.notify(error.message, title="Not stopped", severity="error", markup=False)
                    return
                self._leave(
                    f"{live.id} saves and stops. Go on with: {command('runs', 'resume', live.id)}"
                )

        self.push_screen(
            ChoiceDialog(
                "Quit while a training is under way?",
                safe(live.id),
                [
                    ("keep", "Quit and let it train on"),
                    ("stop", "Save and stop it, then quit"),
                    ("cancel", "Stay here"),
                ],
            ),
            decide,
        )

    def _leave(self, farewell: str) -> None:
        from rich.text import Text

        self.exit(message=Text(safe(farewell)) if farewell else None)

    def on_unmount(self) -> None:
        """Let nothing behind but trainings."""
        self.warm_engine.kill()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer what the tab can do now, the tabs, the latest runs and the themes by name."""
        for bound in screen.active_bindings.values():
            if bound.enabled and (meaning := bound.binding.tooltip):
                do = partial(self.run_action, bound.binding.action, bound.node)
                yield SystemCommand(bound.binding.description, meaning, do)
        for key, title in TABS.items():
            yield SystemCommand(f"Go to {title}", "", partial(self.action_open_tab, key))
        for run in reversed(list_runs()[-20:]):
            yield SystemCommand(
                f"Open run {safe(run.id)}", "", partial(self.post_message, OpenRun(run, "train"))
            )
        yield SystemCommand("Light colours", "", partial(setattr, self, "theme", LIGHT.name))
        yield SystemCommand("Dark colours", "", partial(setattr, self, "theme", DARK.name))
        yield SystemCommand("Help", "What keys do and numbers mean", self.action_help)
        yield SystemCommand("Quit", "", self.action_quit)

    def _fatal_error(self) -> None:
        # Textual would print a traceback; `run_tui` raises the error instead, for the outermost
        # layer to deal with.
        self._close_messages_no_wait()


def _make_screen(key: str) -> TabScreen:
    """Return a new screen; only the one shown first is imported at start."""
    if key == "pick":
        return PickScreen()
    if key == "train":
        from vixtui.tui.screens.train import TrainScreen

        return TrainScreen()
    if key == "test":
        from vixtui.tui.screens.test import TestScreen

        return TestScreen()
    if key == "predict":
        from vixtui.tui.screens.predict import PredictScreen

        return PredictScreen()
    from vixtui.tui.screens.runs import RunsScreen

    return RunsScreen()


def run_tui() -> int:
    """Show the screens until the user leaves; return the exit code.

    Raises:
        UsageError: without a terminal.
        Exception: whatever went wrong inside, after the terminal is restored.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the screens need a terminal", remedy="see 'vixtui --help' for commands")
    app = VixtuiApp()
    app.run()
    error: BaseException | None = app._exception
    if isinstance(error, WorkerFailed):
        error = error.error
    if error is not None:
        raise error
    return app.return_code or 0
