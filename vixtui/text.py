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
    """Return bytes in decimal units with three significant digits: ``1.24 MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 999.5:
            return (
                f"{value:.0f} {unit}" if unit == "B" else f"{value:#.3g} {unit}".replace(". ", " ")
            )
        value /= 1000
    return f"{value:.2f} TB"


def format_count(count: float) -> str:
    """Return a count in the field's short form: ``430k``, ``0.43M``-style for parameters."""
    if count < 10_000:
        return f"{count:,.0f}"
    return f"{count / 1e3:,.0f} k" if count < 999_500 else f"{count / 1e6:,.2f} M"


def format_seconds(seconds: float) -> str:
    """Return a duration for people: ``0.8 s``, ``47 s``, ``1:02:05``; ``–`` when not finite."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_percent(fraction: float) -> str:
    """Return a fraction as a percentage with one decimal: ``97.3 %``."""
    return f"{100 * fraction:.1f} %"
