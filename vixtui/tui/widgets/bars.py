"""Horizontal bars made of eighths of a cell."""

from __future__ import annotations

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(fraction: float, width: int, *, ascii: bool = False, empty: str = " ") -> str:
    """Return a bar of `width` cells, filled by `fraction` (0 to 1)."""
    fraction = min(1.0, max(0.0, fraction))
    if ascii:
        full = round(fraction * width)
        return "#" * full + "." * (width - full)
    eighths = round(fraction * width * 8)
    full, rest = divmod(eighths, 8)
    text = "█" * full + (_EIGHTHS[rest] if rest else "")
    return text + empty * (width - len(text))


def shade(fraction: float, *, ascii: bool = False) -> str:
    """Return one cell that is darker the larger `fraction` (0 to 1) is."""
    steps = " .:#@" if ascii else " ░▒▓█"
    if fraction <= 0:
        return steps[0]
    return steps[1 + min(3, int(fraction * 4))]
