"""A line chart that keeps up with a running training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, zip_longest
from math import log10

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from vixtui.tui.theme import CURVE_COLORS, Terminal
from vixtui.tui.widgets.canvas import BAND, MARKS, Canvas
from vixtui.tui.widgets.fit import strip_of
from vixtui.tui.widgets.series import Bucket, Series
from vixtui.tui.widgets.ticks import linear_ticks, log_ticks, tick_label

_ASCII_MARKS = ("**", "oo", "++", "xx", "##", "@@")


@dataclass(frozen=True, slots=True)
class Curve:
    """A named series; `name` is safe to show."""

    name: str
    series: Series


class Chart(Widget):
    """Curves over a common x axis, a legend with last values on top, drawn only when changed.

    Args:
        title: written before the legend.
        x_name: unit of the x axis, written after its right end.
        value_format: how the legend shows a last value.
        y_range: lowest and highest y always shown, or None to follow the data.
        terminal: whether colour and braille can be shown.
    """

    def __init__(
        self,
        title: str,
        *,
        terminal: Terminal,
        x_name: str = "epoch",
        value_format: Callable[[float], str] = "{:.3f}".format,
        y_range: tuple[float, float] | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.log_y = False
        self._title, self._x_name, self._y_range = title, x_name, y_range
        self._value_format, self._terminal = value_format, terminal
        self._curves: Sequence[Curve] = ()
        self._strips: list[Strip] = []
        self._drawn_size = Size(0, 0)

    def show(self, curves: Sequence[Curve]) -> None:
        """Draw these curves from now on."""
        self._curves = curves
        self.redraw()

    def redraw(self) -> None:
        """Look at the series again; paint only rows that change."""
        before, size = self._strips, self._drawn_size
        if not before or size != self.content_size:
            self._strips = []
            self.refresh()
            return
        self._strips = self.draw(size.width, size.height)
        pairs = zip_longest(before, self._strips)
        if changed := [y for y, (old, new) in enumerate(pairs) if old != new]:
            self.refresh(*(Region(0, y, size.width, 1) for y in changed))

    def toggle_log(self) -> None:
        """Change between a linear and a logarithmic y axis."""
        self.log_y = not self.log_y
        self.redraw()

    def render_line(self, y: int) -> Strip:
        size = self.content_size
        if not self._strips or self._drawn_size != size:
            self._strips, self._drawn_size = self.draw(size.width, size.height), size
        return (
            self._strips[y] if y < len(self._strips) else Strip.blank(size.width, self.rich_style)
        )

    def draw(self, width: int, height: int) -> list[Strip]:
        """Return the chart's rows for a size in cells."""
        background = self.rich_style
        strip = partial(strip_of, width=width, style=background, console=self.app.console)
        legend = self._legend(width)
        rows = height - 3
        frame = _Frame.around(self._curves, self.log_y, self._y_range, max(2, rows // 3))
        if frame is None or rows < 2 or width < 24:
            lines = [legend, *([Text("")] * max(0, (height - 2) // 2)), self._nothing(frame, width)]
            return [strip(line) for line in lines[:height]]
        margin = max(len(label) for _, label in frame.ticks) + 2
        canvas = Canvas(width - margin, rows, self._terminal.ascii)
        for number, curve in enumerate(self._curves):
            _plot(canvas, frame, number, curve.series)
        body = self._body(canvas, frame, margin, background)
        corner, dash = ("+", "-") if self._terminal.ascii else ("└", "─")
        axis = Text(" " * (margin - 1) + corner + dash * (width - margin), style="dim")
        right = f"{self._x_name} {tick_label(round(frame.x_high, 2))}"
        left = tick_label(round(frame.x_low, 2))
        ends = " " * margin + left + right.rjust(width - margin - len(left))
        feet = [strip(line) for line in (axis, Text(ends, style="dim"))]
        return [strip(legend), *body, *feet]

    def _body(self, canvas: Canvas, frame: _Frame, margin: int, base: Style) -> list[Strip]:
        labels = {frame.row(value, canvas.rows): label for value, label in frame.ticks}
        tick, wall = ("+", "|") if self._terminal.ascii else ("┤", "│")
        numbers = range(len(self._curves))
        styles = {
            curve: base + self._curve_style(curve)
            for curve in (None, *numbers, *(BAND + number for number in numbers))
        }
        dim = base + Style(dim=True)
        strips = []
        for row in range(canvas.rows):
            edge = tick if row in labels else wall
            label = Segment(labels.get(row, "").rjust(margin - 2) + " " + edge, dim)
            cells = [Segment(text, styles[curve]) for text, curve in canvas.row(row)]
            strips.append(Strip([label, *cells], margin + canvas.columns))
        return strips

    def _legend(self, width: int) -> Text:
        title = self._title + (" (log)" if self.log_y else "")
        line = Text.assemble((title, "bold"))
        entries = Text()
        marks = _ASCII_MARKS if self._terminal.ascii else MARKS
        for number, curve in enumerate(self._curves):
            last = curve.series.last
            value = "" if last is None else f" {self._value_format(last)}"
            entries.append(f"  {marks[number % len(marks)]} ", self._curve_style(number))
            entries.append(f"{curve.name}{value}")
        line.append(" " * max(1, width - line.cell_len - entries.cell_len))
        return line.append_text(entries)

    def _nothing(self, frame: _Frame | None, width: int) -> Text:
        text = "no values yet" if frame is None else "too small to draw"
        return Text(text.center(width), "dim")

    def _curve_style(self, curve: int | None) -> Style:
        if curve is None:
            return Style.null()
        color = CURVE_COLORS[curve % BAND % len(CURVE_COLORS)] if self._terminal.color else None
        return Style(color=color, dim=curve >= BAND)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the axes span; y in data units, or their logarithm."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    log: bool
    ticks: tuple[tuple[float, str], ...]

    @classmethod
    def around(
        cls,
        curves: Sequence[Curve],
        log: bool,
        y_range: tuple[float, float] | None,
        most_ticks: int,
    ) -> _Frame | None:
        """Return the frame that holds all finite values, or None without any."""
        filled = [bucket for curve in curves for bucket in curve.series.buckets if bucket.count]
        if not filled:
            return None
        low, high = min(b.low for b in filled), max(b.high for b in filled)
        if y_range is not None and not log:
            low, high = min(low, y_range[0]), max(high, y_range[1])
        if log:
            low = max(low, high * 1e-6, 1e-12)
            high = max(high, low * 1.01)
        elif high <= low:
            low, high = low - 0.5, high + 0.5
        values = (log_ticks if log else linear_ticks)(low, high, most_ticks)
        step = values[1] - values[0] if len(values) > 1 and not log else high - low
        if log:
            step = low
        return cls(
            x_low=min(0.0, *(b.first_x for b in filled)),
            x_high=max(b.last_x for b in filled) or 1.0,
            y_low=log10(low) if log else low,
            y_high=log10(high) if log else high,
            log=log,
            ticks=tuple((value, tick_label(value, step)) for value in values),
        )

    def fraction(self, y: float) -> float:
        """Return how far `y` is from the top, 0 to 1."""
        if self.log:
            y = log10(max(y, 1e-300))
        return min(1.0, max(0.0, (self.y_high - y) / (self.y_high - self.y_low)))

    def row(self, y: float, rows: int) -> int:
        """Return the row out of `rows` in which `y` lies."""
        return round(self.fraction(y) * (rows - 1))


def _plot(canvas: Canvas, frame: _Frame, number: int, series: Series) -> None:
    """Draw one curve: the means joined, the spread behind them."""
    scale = (canvas.width - 1) / (frame.x_high - frame.x_low)

    def column(bucket: Bucket) -> int:
        return round(((bucket.first_x + bucket.last_x) / 2 - frame.x_low) * scale)

    previous: tuple[int, int] | None = None
    for x, group in groupby(series.buckets, column):
        buckets = [bucket for bucket in group if bucket.count]
        if not buckets:
            previous = None
            continue
        low, high = min([b.low for b in buckets]), max([b.high for b in buckets])
        mean = sum([b.total for b in buckets]) / sum([b.count for b in buckets])
        dot = (x, frame.row(mean, canvas.height))
        canvas.band(number, x, frame.row(high, canvas.height), frame.row(low, canvas.height))
        canvas.line(number, previous or dot, dot)
        previous = dot
