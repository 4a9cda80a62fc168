"""Curves drawn in braille dots, or in plain letters where braille cannot be shown."""

from __future__ import annotations

from dataclasses import dataclass, field

# Bit of each dot in a braille cell, by column and row (U+2800).
_DOT_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
# Bits of rows `top` to `bottom` of a cell's column: _SPANS[column][top][bottom].
_SPANS = tuple(
    tuple(
        tuple(sum(column[top : bottom + 1]) for bottom in range(4)) for top in range(4)
    )
    for column in _DOT_BITS
)  # fmt: skip
_LOOSE = (0x01 | 0x04, 0x10 | 0x80)
"""Every other dot of a cell's columns, as on a chess board."""
_LETTERS = "*o+x#@"
BAND = 100
"""Added to a curve's number for cells that show only its spread."""

# Dots drawn and left out in turn, so that curves differ without colour.
PATTERNS = ("1", "111000", "1000", "1111100100", "110000", "1111111100")
MARKS = ("━━", "╍╍", "┅┅", "━┅", "╍ ", "━ ")


@dataclass(slots=True)
class Canvas:
    """A grid of character cells; with braille each holds 2 × 4 dots.

    Args:
        columns, rows: size in cells.
        ascii: draw letters, one dot a cell.
    """

    columns: int
    rows: int
    ascii: bool = False
    _lines: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    _bands: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Dots across."""
        return self.columns if self.ascii else 2 * self.columns

    @property
    def height(self) -> int:
        """Dots down."""
        return self.rows if self.ascii else 4 * self.rows

    def line(self, curve: int, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Join two dots (x, y), y downwards, in the pattern of curve number `curve`."""
        pattern = "1" if self.ascii else PATTERNS[curve % len(PATTERNS)]
        (x0, y0), (x1, y1) = start, end
        steps = max(1, x1 - x0)
        previous = y0
        for step in range(steps + 1):
            x = min(x1, x0 + step)
            y = y1 if x1 == x0 and step else round(y0 + (y1 - y0) * min(1.0, step / steps))
            if pattern[x % len(pattern)] == "1":
                self._vertical(self._lines, curve, x, previous, y)
            previous = y

    def band(self, curve: int, x: int, top: int, bottom: int) -> None:
        """Show the spread from `top` to `bottom` at `x` in loose dots."""
        if not self.ascii:
            self._vertical(self._bands, curve, x, top, bottom, _LOOSE[x & 1])

    def _vertical(
        self,
        layer: dict[tuple[int, int], tuple[int, int]],
        curve: int,
        x: int,
        y0: int,
        y1: int,
        mask: int = 0xFF,
    ) -> None:
        low, high = (y0, y1) if y0 <= y1 else (y1, y0)
        if self.ascii:
            for y in range(low, high + 1):
                layer[x, y] = (1, curve)
            return
        spans = _SPANS[x & 1]
        for row in range(low >> 2, (high >> 2) + 1):
            cell = (x >> 1, row)
            bits = spans[max(0, low - 4 * row)][min(3, high - 4 * row)] & mask
            layer[cell] = (layer.get(cell, (0, 0))[0] | bits, curve)

    def row(self, number: int) -> list[tuple[str, int | None]]:
        """Return the row's cells as (text, curve), neighbours of one curve joined.

        The curve is None for blank cells and `BAND` more for cells that show only a spread.
        """
        runs: list[tuple[str, int | None]] = []
        for column in range(self.columns):
            char, curve = self._cell((column, number))
            if runs and runs[-1][1] == curve:
                runs[-1] = (runs[-1][0] + char, curve)
            else:
                runs.append((char, curve))
        return runs

    def _cell(self, cell: tuple[int, int]) -> tuple[str, int | None]:
        if cell in self._lines:
            bits, curve = self._lines[cell]
            return (_LETTERS[curve % len(_LETTERS)] if self.ascii else chr(0x2800 + bits)), curve
        if cell in self._bands:
            bits, curve = self._bands[cell]
            return chr(0x2800 + bits), BAND + curve
        return " ", None
