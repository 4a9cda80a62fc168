"""A picture in half blocks, two pixels a cell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from vixtui.tui.theme import Terminal

if TYPE_CHECKING:
    from PIL.Image import Image

_RAMP = " .:-=+*#%@"
_LARGEST_SIDE = 400


def load_preview(path: Path) -> tuple[Image, Size]:
    """Return a small upright RGB copy of a picture, and the picture's size in pixels.

    Raises:
        DataError: when it cannot be read.
    """
    from vixtui.data.pictures import read_picture

    image = read_picture(str(path))
    size = Size(image.width, image.height)
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    return image, size


class Picture(Widget):
    """Shows a picture as large as the room allows.

    Args:
        terminal: without colour or blocks an ASCII ramp is drawn.
    """

    def __init__(self, *, terminal: Terminal, id: str | None = None) -> None:
        super().__init__(id=id)
        self._terminal = terminal
        self._image: Image | None = None
        self._model_size: tuple[int, int] | None = None
        self._strips: list[Strip] = []
        self._drawn_size = Size(0, 0)

    def show(self, image: Image | None, model_size: tuple[int, int] | None = None) -> None:
        """Show a picture; with `model_size` (width, height) as the model sees it."""
        self._image, self._model_size, self._strips = image, model_size, []
        self.refresh()

    def render_line(self, y: int) -> Strip:
        size = self.content_size
        if self._image is not None and (not self._strips or self._drawn_size != size):
            self._strips, self._drawn_size = self._draw(self._image, size), size
        return (
            self._strips[y] if y < len(self._strips) else Strip.blank(size.width, self.rich_style)
        )

    def _draw(self, image: Image, room: Size) -> list[Strip]:
        from PIL.Image import Resampling

        from vixtui.data.pictures import fit

        if room.width < 1 or room.height < 1:
            return []
        if self._model_size is not None:
            model_width, model_height = self._model_size
            image = fit(image, height=model_height, width=model_width)
        scale = min(room.width / image.width, 2 * room.height / image.height)
        width = max(1, min(room.width, round(image.width * scale)))
        height = max(1, min(2 * room.height, round(image.height * scale)))
        coarse = self._model_size is not None
        pixels = image.resize(
            (width, height), Resampling.NEAREST if coarse else Resampling.BILINEAR
        )
        left = (room.width - width) // 2
        blocks = self._terminal.color and not self._terminal.ascii
        rows = _half_blocks(pixels, self.rich_style) if blocks else _ramp(pixels, self.rich_style)
        margin = Segment(" " * left, self.rich_style)
        return [
            Strip([margin, *row]).adjust_cell_length(room.width, self.rich_style) for row in rows
        ]


def _half_blocks(pixels: Image, base: Style) -> list[list[Segment]]:
    width, height = pixels.size
    data = pixels.tobytes()
    rows = []
    for y in range(0, height, 2):
        row = []
        for x in range(width):
            top = (y * width + x) * 3
            style = Style.from_color(Color.from_rgb(*data[top : top + 3]))
            if y + 1 < height:
                low = top + width * 3
                style += Style.from_color(bgcolor=Color.from_rgb(*data[low : low + 3]))
            row.append(Segment("▀", base + style))
        rows.append(row)
    return rows


def _ramp(pixels: Image, base: Style) -> list[list[Segment]]:
    grey = pixels.convert("L").resize((pixels.width, (pixels.height + 1) // 2))
    data, width = grey.tobytes(), grey.width
    return [
        [
            Segment(
                "".join(_RAMP[value * len(_RAMP) // 256] for value in data[at : at + width]), base
            )
        ]
        for at in range(0, len(data), width)
    ]
