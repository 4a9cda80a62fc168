"""Log lines, newest in view."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

_MOST_LINES = 500


class LogPane(VerticalScroll, can_focus=False):
    """The last lines of a log; follows the end."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def add(self, lines: Iterable[str]) -> None:
        """Append lines, safe to show."""
        self._lines.extend(lines)
        self.query_one(Static).update(Content("\n".join(self._lines)))
        self._follow()

    def clear(self) -> None:
        """Take all lines away."""
        self._lines.clear()
        self.add(())

    def on_resize(self, event: events.Resize) -> None:
        """Keep the end in view."""
        self._follow()

    def _follow(self) -> None:
        self.scroll_end(animate=False, force=True)
