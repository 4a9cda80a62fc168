"""Outside text made safe to show, and numbers made readable."""

from __future__ import annotations

import math
import unicodedata

# Cc: C0, DEL, C1; Cf: bidi controls and other invisible marks; Cs: undecodable file-name bytes;
# Zl, Zp: separators that some terminals treat as line breaks.
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def safe(text: str, max_length: int = 300) -> str:
    """Return `text` with every control, bidi and undecodable character as a visible escape.

    Text from outside the program (paths, class names, metadata, exception texts) passes through
    here before it reaches a terminal.

    Args:
        text: anything, including lone surrogates from undecodable file names.
        max_length: longer results are cut and end in ``…``; in characters.
    """
    shown = "".join(
        char.encode("unicode_escape", "surrogatepass").decode("ascii")
        if unicodedata.category(char) in _INVISIBLE
        else char
        for char in text[: max_length + 1]
    )
    return shown if len(shown) <= max_length else shown[: max_length - 1] + "…"


def format_bytes(count: float) -> str:
    """Return bytes in decimal units with three digits: ``1.24 MB``; ``–`` when not finite."""
    if not math.isfinite(count):
        return "–"
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if abs(value) < 999.5:
            break
        value, unit = value / 1000, larger
    decimals = 0 if unit == "B" or abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:z,.{decimals}f} {unit}"


def format_count(count: float) -> str:
    """Return a count in short: ``9,999``, ``430 k``, ``4.30 M``; ``–`` when not finite."""
    if not math.isfinite(count):
        return "–"
    if abs(count) < 9_999.5:
        return f"{count:z,.0f}"
    return f"{count / 1e3:,.0f} k" if abs(count) < 999_500 else f"{count / 1e6:,.2f} M"


def format_seconds(seconds: float) -> str:
    """Return a duration for people: ``0.8 s``, ``47 s``, ``1:02:05``; ``–`` when not finite."""
    if not math.isfinite(seconds):
        return "–"
    if seconds <= -0.05:
        return f"-{format_seconds(-seconds)}"
    if seconds < 9.95:
        return f"{seconds:z.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_percent(fraction: float | None) -> str:
    """Return a fraction as a percentage with one decimal: ``97.3 %``; ``–`` for none, or NaN."""
    if fraction is None or not math.isfinite(fraction):
        return "–"
    return f"{100 * fraction:z.1f} %"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 core``, ``2 cores``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def joined(*parts: str) -> str:
    """Return the parts that there are as one text: ``a; b``."""
    return "; ".join(filter(None, parts))
