"""Log lines, newest in view."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import chain

from rich.text import Text
from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from vixtui.tui.widgets.fit import strip_of

_MOST_ENTRIES = 500


class LogPane(ScrollView, can_focus=False):
    """The last entries of a log, wrapped; follows the end unless scrolled away from it.

    It makes its own rows, and paints those in view: a `Static` wraps and paints all of them anew
    for each entry, beside a training that has better use for the time.
    """

    DEFAULT_CSS = "LogPane { overflow-x: hidden; overflow-y: auto; scrollbar-gutter: stable; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._entries: deque[str] = deque(maxlen=_MOST_ENTRIES)
        self._wrapped: deque[list[str]] = deque(maxlen=_MOST_ENTRIES)
        self._rows: list[str] = []
        self._width = 0
        self._following = True

    def add(self, entries: Iterable[str]) -> None:
        """Append entries, safe to show."""
        entries = list(entries)
        self._entries.extend(entries)
        self._wrapped.extend(map(self._wrap, entries))
        self._show()

    def clear(self) -> None:
        """Take all entries away."""
        self._entries.clear()
        self._wrapped.clear()
        self._following = True
        self._show()

    def on_resize(self, event: events.Resize) -> None:
        """Wrap for the new width; keep the end in view."""
        width = self.scrollable_content_region.width
        if width != self._width:
            self._width = width
            self._wrapped.clear()
            self._wrapped.extend(map(self._wrap, self._entries))
        self._show()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._following = self.is_vertical_scroll_end

    def _wrap(self, entry: str) -> list[str]:
        # Without a width, nothing is shown yet.
        return [row.plain for row in Content(entry).wrap(self._width)] if self._width else []

    def _show(self) -> None:
        self._rows = list(chain.from_iterable(self._wrapped))
        self.virtual_size = Size(self._width, len(self._rows))
        if self._following:
            self.scroll_end(animate=False, force=True, immediate=True, x_axis=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the row at a height of the view."""
        number = y + self.scroll_offset.y
        row = Text(self._rows[number] if number < len(self._rows) else "")
        selection = self.text_selection
        span = None if selection is None else selection.get_span(number)
        if span is not None:
            start, end = span
            style = self.screen.get_component_rich_style("screen--selection")
            row.stylize(style, start, None if end == -1 else end)
        strip = strip_of(row, self.size.width, self.rich_style, self.app.console)
        return strip.apply_offsets(0, number)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text, and what ends it."""
        return selection.extract("\n".join(self._rows)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Show what is selected now."""
        self.refresh()
