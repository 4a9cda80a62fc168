"""The confusion matrix: a number and a shade in every cell."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from vixtui.tui.theme import Terminal
from vixtui.tui.widgets.bars import shade
from vixtui.tui.widgets.fit import fit

_LONGEST_LABEL = 10
_WIDEST_CELL = 9


class Matrix(ScrollView, can_focus=True):
    """Rows are true classes, columns predicted ones; scrolls when there are many.

    Args:
        terminal: whether shades and colour can be shown.
    """

    def __init__(self, *, terminal: Terminal, id: str | None = None) -> None:
        super().__init__(id=id)
        self._terminal = terminal
        self._names: Sequence[str] = ()
        self._counts: Sequence[Sequence[int]] = ()
        self.percent = True
        self._label, self._cell = _LONGEST_LABEL, 5

    def show(self, classes: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
        """Show counts[true][predicted]; `classes` are safe to show."""
        self._names, self._counts = classes, counts
        self._lay_out()

    def on_resize(self) -> None:
        """Use narrower cells when wide ones do not fit."""
        self._lay_out()

    def _lay_out(self) -> None:
        longest = max((len(name) for name in self._names), default=0)
        self._label = max(5, min(_LONGEST_LABEL, longest)) + 1
        room = (self.size.width - self._label) // max(1, len(self._names))
        self._cell = max(4, min(_WIDEST_CELL, room))
        width = self._label + self._cell * len(self._names)
        self.virtual_size = Size(width, len(self._names) + 1)
        self.styles.height = len(self._names) + 1 + (width > self.size.width)
        self.refresh()

    def toggle_percent(self) -> None:
        """Change between per cent of the true class and counts."""
        self.percent = not self.percent
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if not self._names:
            return Strip.blank(width, base)
        # The head row and the label column stay while the rest scrolls.
        left = int(self.scroll_offset.x) // self._cell
        row = y - 1 + int(self.scroll_offset.y)
        columns = range(left, min(len(self._names), left + (width - self._label) // self._cell))
        if y == 0:
            segments = self._head(columns, base)
        elif row < len(self._names):
            segments = self._row(row, columns, base)
        else:
            segments = []
        return Strip(segments).adjust_cell_length(width, base)

    def _head(self, columns: range, base: Style) -> list[Segment]:
        dim = base + Style(dim=True)
        corner = "true" if self._terminal.ascii else "true↓"
        room = self._cell - 1
        names = [self._names[column][:room].rjust(room) + " " for column in columns]
        return [Segment(corner.ljust(self._label), dim), Segment("".join(names), base)]

    def _row(self, row: int, columns: range, base: Style) -> list[Segment]:
        counts = self._counts[row]
        total = sum(counts)
        segments = [Segment(fit(self._names[row], self._label - 1) + " ", base)]
        for column in columns:
            count = counts[column]
            fraction = count / total if total else 0.0
            text = f"{100 * fraction:.0f}" if self.percent else f"{count}"
            blank = "." if self._terminal.ascii else "·"
            text = text if count else blank
            style = base + self._style(row == column, fraction)
            mark = shade(fraction, ascii=self._terminal.ascii)
            segments.append(Segment(f"{_short(text):>{self._cell - 1}}{mark}", style))
        return segments

    def _style(self, right: bool, fraction: float) -> Style:
        if not fraction:
            return Style(dim=True)
        color = ("#009e73" if right else "#e69f00") if self._terminal.color else None
        return Style(color=color, bold=right)


def _short(count: str) -> str:
    return count if len(count) <= 3 else f"{int(count) // 1000}k" if len(count) > 4 else count[:4]
