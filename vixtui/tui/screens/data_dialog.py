"""Which pictures to learn from: a built-in set or a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import DirectoryTree, Input, OptionList, Static
from textual.widgets.option_list import Option

from vixtui.tui.widgets.file_tree import FileTree
from vixtui.tui.widgets.path_input import PathInput

BUILT_IN = {
    "digits": "digits: 1,797 handwritten digits, grey, 8 × 8; trains in seconds",
    "shapes": "shapes: drawn figures in colour, 10 classes; nothing to download",
}
_HINT = "Enter chooses, Tab moves on, Esc cancels"


class DataDialog(ModalScreen[str | None]):
    """Answers a source: a built-in name or an absolute folder. Escape answers None.

    Args:
        source: the present one.
        ascii: letters instead of icons.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False)
    ]

    def __init__(self, source: str, *, ascii: bool) -> None:
        super().__init__()
        self._source, self._ascii = source, ascii

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -tall") as dialog:
            dialog.border_title = "Pictures to learn from"
            yield OptionList(*(Option(Content(text), id=name) for name, text in BUILT_IN.items()))
            yield Static(
                "Or a folder of yours: one folder a class, or train, val and test with those.",
                classes="dialog-text",
            )
            yield PathInput(wanted=lambda path: False, placeholder="folder; Tab completes")
            yield FileTree(Path.home(), wanted=lambda path: False, ascii=self._ascii)
            yield Static(_HINT, classes="dialog-hint")

    def on_mount(self) -> None:
        """Show the present folder."""
        if self._source not in BUILT_IN:
            self.query_one(PathInput).show_path(Path(self._source))

    def on_key(self, event: events.Key) -> None:
        """Let a path that is typed go into its line, wherever the focus is."""
        # What is typed in the line stays there; a space opens a folder of the tree.
        if event.character and event.is_printable and event.character != " ":
            event.stop()
            self._line_for_new_path().insert_text_at_cursor(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """Let a path that is pasted go into its line, wherever the focus is."""
        event.stop()
        self._line_for_new_path().post_message(event)

    def _line_for_new_path(self) -> PathInput:
        line = self.query_one(PathInput)
        if self.focused is not line:  # the next key of a quick hand may still come here
            line.value = ""
            self.set_focus(line)
        return line

    @on(OptionList.OptionSelected)
    def _built_in(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    @on(PathInput.Completed)
    def _offer(self, event: PathInput.Completed) -> None:
        self._hint("  ".join(event.names[:12]) or _HINT)

    @on(DirectoryTree.DirectorySelected)
    def _mark(self, event: DirectoryTree.DirectorySelected) -> None:
        self.query_one(PathInput).show_path(event.path)
        self._hint("Enter in the line above chooses this folder")

    @on(Input.Submitted)
    def _folder(self) -> None:
        path = self.query_one(PathInput).path
        if os.path.isdir(path):
            self.dismiss(str(path.resolve()))
        else:
            self._hint("No such folder")

    def _hint(self, text: str) -> None:
        self.query_one(".dialog-hint", Static).update(Content(text))
