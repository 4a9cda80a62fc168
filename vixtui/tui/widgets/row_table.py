"""A table of plain text, one column of which takes the room that is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.text import Text
from textual import events
from textual.widgets import DataTable


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a `RowTable`.

    Args:
        title: its head.
        width: in cells; the least when it stretches.
        align: of head and cells.
        from_width: screen width in cells from which on it is shown.
        stretch: whether it takes the room that is left; one column does.
    """

    title: str
    width: int
    align: Literal["left", "right"] = "left"
    from_width: int = 0
    stretch: bool = False


class RowTable(DataTable[Text]):
    """Rows of text, one of them chosen; never reads markup.

    Args:
        columns: from left to right.
    """

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=1)
        self._columns = columns
        self._rows: list[tuple[str, Sequence[Text | str]]] = []

    @property
    def chosen(self) -> str | None:
        """Key of the row under the cursor."""
        in_range = 0 <= self.cursor_row < len(self._rows)
        return self._rows[self.cursor_row][0] if in_range else None

    def show_rows(
        self, rows: Sequence[tuple[str, Sequence[Text | str]]], *, from_top: bool = False
    ) -> None:
        """Replace all rows; the cursor stays on the row with the same key, or where that was.

        Args:
            rows: key and cells of each, one cell a column; strings must be safe to show.
            from_top: put the cursor on the first row instead.
        """
        chosen, place = None if from_top else self.chosen, self.cursor_row
        self._rows = list(rows)
        keys = [key for key, _ in rows]
        if chosen is not None and keys and chosen not in keys:
            chosen = keys[min(place, len(keys) - 1)]
        self._fill(chosen)

    def choose(self, key: str) -> None:
        """Put the cursor on a row."""
        keys = [entry for entry, _ in self._rows]
        if key in keys:
            self.move_cursor(row=keys.index(key), animate=False)

    def on_resize(self, event: events.Resize) -> None:
        """Lay the columns out again."""
        self._fill(self.chosen)

    def _fill(self, chosen: str | None) -> None:
        shown = [
            number for number, column in enumerate(self._columns)
            if self.app.size.width >= column.from_width
        ]  # fmt: skip
        taken = sum(self._columns[n].width * (not self._columns[n].stretch) + 2 for n in shown)
        room = self.scrollable_content_region.width - taken
        scroll_y = self.scroll_y if chosen is not None else 0
        self.clear(columns=True)
        for number in shown:
            column = self._columns[number]
            width = max(column.width, room) if column.stretch else column.width
            self.add_column(Text(column.title, justify=column.align), width=width)
        for key, cells in self._rows:
            self.add_row(*(self._cell(cells[n], self._columns[n]) for n in shown), key=key)
        if chosen is not None:
            self.choose(chosen)
        self.scroll_to(y=scroll_y, animate=False)

    def _cell(self, cell: Text | str, column: Column) -> Text:
        text = Text(cell) if isinstance(cell, str) else cell.copy()
        text.justify, text.no_wrap, text.overflow = column.align, True, "ellipsis"
        return text
