"""The program's name and the five tabs in one line."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.style import Style
from textual.widget import Widget

TABS = {"pick": "Pick", "train": "Train", "test": "Test", "predict": "Predict", "runs": "Runs"}


class TabBar(Widget, can_focus=True):
    """Shows where one is; digit keys, a click, or arrows when focused lead elsewhere.

    Args:
        active: key of the tab that is shown.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "screen.neighbour(-1)", "Previous tab", show=False),
        Binding("right", "screen.neighbour(1)", "Next tab", show=False),
    ]

    def __init__(self, active: str) -> None:
        super().__init__()
        self._active = active

    def render(self) -> Content:
        wide = self.size.width >= 60
        tabs = Content.assemble(
            *(self._tab(number, key, wide) for number, key in enumerate(TABS, start=1))
        )
        name = Content.styled(" vixtui ", "bold") if wide else Content("")
        gap = max(1, self.size.width - name.cell_length - tabs.cell_length)
        return Content.assemble(name, " " * gap, tabs)

    def _tab(self, number: int, key: str, wide: bool) -> Content:
        active = key == self._active
        title = f"{number} {TABS[key]}" if wide or active else str(number)
        text = Content(f"[{title}]" if active else f" {title} ")
        if active:
            text = text.stylize("bold reverse")
        link = Style.from_meta({"@click": f"app.open_tab('{key}')"})
        return Content.assemble(text.stylize(link), " " if wide else "")
