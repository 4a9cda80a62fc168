"""Text that is written anew for each width."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget


class Fluid(Widget):
    """Shows what a function makes of its width; as high as that text."""

    DEFAULT_CSS = "Fluid { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._write: Callable[[int], Content] = lambda width: Content("")

    def show(self, write: Callable[[int], Content]) -> None:
        """Show `write`'s text, given the width in cells; one screen line a line."""
        before = self._height()
        self._write = write
        self.refresh(layout=self._height() != before)

    def _height(self) -> int:
        return self._write(self.content_size.width).plain.count("\n") + 1

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._write(width).plain.count("\n") + 1

    def render(self) -> Content:
        return self._write(self.content_size.width)
