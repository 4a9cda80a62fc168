"""Text made exactly as wide as its place."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip


def fit(text: str, width: int) -> str:
    """Return `text` filled up with blanks, or cut and ended with ``…``, to `width` cells."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…"


def strip_of(line: Text, width: int, style: Style, console: Console) -> Strip:
    """Return `line` filled up with blanks, or cut, to `width` cells, over a style."""
    line.truncate(width, pad=True)
    return Strip(Segment.apply_style(line.render(console), style), width)
