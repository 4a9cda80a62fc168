"""Tab 4: what the model makes of a picture."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Grid, Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget
from textual.widgets import DirectoryTree, Input, Static

from vixtui.data.scan import EXTENSIONS
from vixtui.errors import DataError, VixtuiError
from vixtui.paths import assets_dir
from vixtui.runs.directory import RunDirectory, find_run, list_runs, newest_model
from vixtui.text import safe
from vixtui.tui import answers
from vixtui.tui.answers import Answer
from vixtui.tui.screens.base import TabScreen
from vixtui.tui.widgets.file_tree import FileTree
from vixtui.tui.widgets.fluid import Fluid
from vixtui.tui.widgets.path_input import PathInput
from vixtui.tui.widgets.picture import Picture, load_preview

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_HISTORY = 50


class PredictScreen(TabScreen):
    """A path, a folder tree, a preview, and the best guesses."""

    TAB = "predict"
    AUTO_FOCUS = "FileTree"
    HELP = answers.HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "type_path", "Type a path", tooltip="type or paste a path; Tab completes it"),
        Binding("m", "model", "Model", tooltip="predict with another run's model"),
        Binding("v", "model_view", "Model's view", tooltip="as coarse as the model sees it"),
        Binding("escape", "leave_path", "Back to the tree", key_display="Esc"),
    ]

    @dataclass
    class Seen(Message):
        """A picture can be shown."""

        path: Path
        image: Image
        size: Size

    @dataclass
    class Answered(Message):
        """The engine has answered, or failed; `error` is safe to show."""

        path: Path
        answer: Answer | None
        error: str = ""

    def __init__(self) -> None:
        super().__init__()
        self.model: RunDirectory | None = None
        self.path: Path | None = None
        self.answer: Answer | None = None
        self.history: list[Answer] = []
        self._image: Image | None = None
        self._pixels = Size(0, 0)
        self._chosen_model = False
        self._model_view = False
        self._notice = ""

    def body(self) -> Iterable[Widget]:
        terminal = self.vixtui.terminal
        with Vertical(classes="panel", id="path-panel") as panel:
            panel.border_title = "Picture"
            panel.border_subtitle = "stays on this computer"
            yield PathInput(wanted=_is_picture, placeholder="o: type or paste a path")
            yield Static(id="path-hint", markup=False)
        with Grid(id="predict-main"):
            with Vertical(classes="panel", id="picture-panel"):
                yield Picture(terminal=terminal)
            with Vertical(id="predict-right"):
                with Vertical(classes="panel", id="answer"):
                    yield Fluid(id="answer-text")
                with VerticalScroll(classes="panel", id="history-panel", can_focus=False) as panel:
                    panel.border_title = "Earlier answers"
                    yield Fluid(id="history-text")
            with Vertical(classes="panel", id="tree-panel") as panel:
                panel.border_title = "Folders"
                yield FileTree(_first_folder(), wanted=_is_picture, ascii=terminal.ascii)

    def on_screen_resume(self) -> None:
        """Take the model of the run looked at, else the newest one."""
        current = self.vixtui.current_run
        if current is not None and current.model_path.is_file():
            self.model, self._chosen_model = current, False
        elif not self._chosen_model or self.model is None or not self.model.model_path.is_file():
            self.model = newest_model()
        self._show()

    def _show(self) -> None:
        panel = self.query_one("#answer")
        panel.border_title = Content(safe(self.model.id, 40) if self.model else "No model yet")
        write = partial(
            answers.answer_text,
            self.answer,
            self._notice,
            has_model=self.model is not None,
            ascii=self.vixtui.terminal.ascii,
        )
        self.query_one("#answer-text", Fluid).show(write)
        history = answers.history_text(self.history)
        self.query_one("#history-text", Fluid).show(lambda width: history)
        shown = self.query_one("#picture-panel")
        shown.border_title = Content(safe(self.path.name, 40)) if self.path else "Preview"
        size = f"{self._pixels.width} × {self._pixels.height} pixels" if self._image else ""
        model_size = self.answer.input_size if self.answer is not None else None
        if size and model_size and self._model_view:
            size = f"as the model sees it: {model_size[0]} × {model_size[1]}"
        shown.border_subtitle = size
        view = model_size if self._model_view else None
        self.query_one(Picture).show(self._image, view)

    @on(DirectoryTree.FileSelected)
    def _from_tree(self, event: DirectoryTree.FileSelected) -> None:
        self.query_one(PathInput).show_path(event.path)
        self.predict(event.path)

    @on(Input.Submitted)
    def _from_input(self) -> None:
        path = self.query_one(PathInput).path
        if os.path.isdir(path):
            self._show_folder(path)
        elif os.path.isfile(path):
            self._show_folder(path.absolute().parent)
            self.predict(path)
        else:
            self._hint("No such file; Tab completes names")

    def _show_folder(self, folder: Path) -> None:
        tree = self.query_one(FileTree)
        if tree.path != folder:
            tree.path = folder
        tree.focus()

    @on(PathInput.Completed)
    def _offer(self, event: PathInput.Completed) -> None:
        self._hint("  ".join(event.names[:20]))

    def _hint(self, text: str) -> None:
        self.query_one("#path-hint", Static).update(Content(text))

    def predict(self, path: Path) -> None:
        """Show a picture and ask the engine about it."""
        self._hint("")
        self.path, self._image, self.answer = path.absolute(), None, None
        self._load(self.path)
        if self.model is None:
            self._notice = ""
        else:
            warm = self.vixtui.warm_engine.warm
            self._notice = "asking the model …" if warm else "starting engine …"
            self._ask(self.path, self.model)
        self._show()

    @work(thread=True, exclusive=True, group="preview")
    def _load(self, path: Path) -> None:
        try:
            image, size = load_preview(path)
        except DataError as error:
            self.post_message(self.Answered(path, None, error.message))
        else:
            self.post_message(self.Seen(path, image, size))

    @work(thread=True, group="predict")
    def _ask(self, path: Path, model: RunDirectory) -> None:
        if path != self.path:  # the user has gone on while this waited
            return
        try:
            reply = self.vixtui.warm_engine.ask(
                "predict", model=str(model.model_path), paths=[str(path)], top=5
            )
            answer = Answer.from_dict(path, reply)
        except VixtuiError as error:
            self.post_message(self.Answered(path, None, error.message))
        except ValueError as error:
            self.post_message(self.Answered(path, None, safe(str(error))))
        else:
            self.post_message(self.Answered(path, answer, answer.error))

    @on(Seen)
    def _take_image(self, event: Seen) -> None:
        if event.path == self.path:
            self._image, self._pixels = event.image, event.size
            self._show()

    @on(Answered)
    def _take_answer(self, event: Answered) -> None:
        if event.path != self.path:
            return
        self._notice = event.error
        if event.answer is not None and not event.error:
            self.answer = event.answer
            self.history = [event.answer, *self.history][:_MOST_HISTORY]
        self._show()

    def action_type_path(self) -> None:
        """Go to the path, marked so that typing replaces it."""
        path = self.query_one(PathInput)
        path.focus()
        path.select_all()

    def action_leave_path(self) -> None:
        """Go to the tree."""
        self.query_one(FileTree).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the way back only to who types a path."""
        return action != "leave_path" or isinstance(self.focused, PathInput)

    def action_model_view(self) -> None:
        """Change between the picture and what the model sees of it."""
        self._model_view = not self._model_view
        self._show()

    def action_model(self) -> None:
        """Choose the run whose model predicts."""
        from vixtui.tui.screens.dialogs import ChoiceDialog

        runs = [run for run in reversed(list_runs()) if run.model_path.is_file()]
        if not runs:
            self.tell("There is no trained model yet; 1 picks one.", error=True)
            return

        def take(run_id: str | None) -> None:
            if run_id is not None:
                self.model, self._chosen_model = find_run(run_id), True
                self.vixtui.current_run = self.model
                if self.path is not None:
                    self.predict(self.path)
                self._show()

        choices = [(run.id, safe(run.id)) for run in runs]
        self.app.push_screen(ChoiceDialog("Which model?", "", choices), take)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower().removeprefix(".") in EXTENSIONS


def _first_folder() -> Path:
    """Return the working folder if it holds pictures, else the bundled samples, if any."""
    here, samples = Path.cwd(), assets_dir() / "samples"
    try:
        if any(_is_picture(path) for path in here.iterdir()):
            return here
    except OSError:
        return samples if samples.is_dir() else Path.home()
    return samples if samples.is_dir() else here
