"""What each key does and what each number means."""

from __future__ import annotations

from textual.binding import Binding
from textual.content import Content

from vixtui.tui.screens.base import TabScreen
from vixtui.tui.screens.dialogs import TextDialog

_EVERYWHERE = (
    ("1 to 5", "go to a tab; so do Left and Right where free"),
    ("Ctrl+P", "find a command by name"),
    ("?", "this help"),
    ("q", "quit; a running training can go on without this window"),
)


def help_dialog(screen: TabScreen) -> TextDialog:
    """Return the help of a tab."""
    focused = screen.focused
    known = (*(focused.BINDINGS if focused is not None else ()), *screen.BINDINGS)
    rows = [
        (_keys(binding), binding.tooltip)
        for binding in known
        if isinstance(binding, Binding) and binding.tooltip
    ]
    parts: list[Content | tuple[str, str] | str] = []
    for keys, meaning in dict.fromkeys((*rows, *_EVERYWHERE)):  # a key may have two names
        parts += [(f"{keys:>8}  ", "bold"), f"{meaning}\n"]
    for paragraph in screen.HELP.split("\n\n"):
        parts += ["\n", " ".join(paragraph.split()), "\n"]
    return TextDialog(f"Help: {screen.TAB}", Content.assemble(*parts))


_KEY_NAMES = {
    "left_square_bracket": "[", "right_square_bracket": "]", "question_mark": "?", "slash": "/",
    "enter": "Enter", "space": "Space", "escape": "Esc", "left": "Left", "right": "Right",
}  # fmt: skip


def _keys(binding: Binding) -> str:
    if binding.key_display:
        return binding.key_display
    return " ".join(_KEY_NAMES.get(key, key) for key in binding.key.split(","))
