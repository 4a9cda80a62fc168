"""A path typed, completed with Tab, or pasted from a file manager."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from vixtui.text import safe


def clean_path(text: str) -> str:
    """Return the path in a pasted text: without quotes, ``file://`` or a shell's backslashes."""
    text = text.strip().strip("\r\n\0")
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    elif os.name == "posix" and "\\" in text and not os.path.exists(text):
        text = re.sub(r"\\(.)", r"\1", text)
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    return text


def complete(text: str, wanted: Callable[[Path], bool]) -> tuple[str, tuple[str, ...]]:
    """Return `text` completed as far as it is unambiguous, and the names it may go on with.

    Args:
        text: a beginning of a path; ``~`` is the home folder.
        wanted: which files count; folders always do. Names that cannot be typed are left out.
    """
    folder_text, _, beginning = text.rpartition("/")
    folder_text += "/" if "/" in text else ""
    folder = Path(os.path.expanduser(folder_text or "."))
    try:
        entries = [entry for entry in folder.iterdir() if entry.name.startswith(beginning)]
    except OSError:
        return text, ()
    names = sorted(
        entry.name + ("/" if is_folder else "")
        for entry in entries
        if (beginning or not entry.name.startswith("."))
        and safe(entry.name, 1000) == entry.name
        and ((is_folder := _is_folder(entry)) or wanted(entry))
    )
    if not names:
        return text, ()
    common = os.path.commonprefix(names)  # noqa: RUF071  names of one folder, letter by letter
    return folder_text + common, tuple(names)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


class PathInput(Input):
    """An input for a path; Tab completes it.

    Args:
        wanted: which files Tab offers.
        placeholder: shown while empty.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Open", key_display="Enter"),
        Binding("tab", "complete", "Complete", key_display="Tab"),
    ]

    class Completed(Message):
        """Tab was pressed. `names` are the ways on, safe to show."""

        def __init__(self, names: Sequence[str]) -> None:
            super().__init__()
            self.names = names

    def __init__(
        self, *, wanted: Callable[[Path], bool], placeholder: str, id: str | None = None
    ) -> None:
        super().__init__(placeholder=placeholder, id=id, select_on_focus=False)
        self._wanted = wanted
        self._shown: tuple[str, Path] | None = None

    @property
    def path(self) -> Path:
        """The path typed so far."""
        if self._shown is not None and self._shown[0] == self.value:
            return self._shown[1]
        return Path(os.path.expanduser(clean_path(self.value)))

    def show_path(self, path: Path) -> None:
        """Show a path found elsewhere; names that cannot be typed still lead to it."""
        self.value = _printable(str(path))
        self._shown = (self.value, path)
        self.cursor_position = len(self.value)

    def action_complete(self) -> None:
        """Complete, or go on to the next field when there is nothing to complete."""
        text, names = complete(self.value, self._wanted)
        if not names:
            self.screen.focus_next()
            return
        self.value = text
        self.cursor_position = len(text)
        self.post_message(self.Completed(names if len(names) > 1 else ()))

    def _on_paste(self, event: events.Paste) -> None:
        lines = event.text.splitlines()
        if lines:
            self.show_path(Path(os.path.expanduser(clean_path(lines[0]))))
        event.stop()
        event.prevent_default()


def _printable(text: str) -> str:
    """Return `text` without characters that a terminal would act on."""
    return "".join(char for char in text if char.isprintable())
