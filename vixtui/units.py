"""Amounts as people type them: ``4GB``, ``3.5GiB``, ``50%``, ``2m``, ``1h30m``."""

from __future__ import annotations

import re

from vixtui.errors import UsageError

_BYTES = {
    "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
    "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
}  # fmt: skip
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_MAX_LENGTH = 100
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-z%]+)", re.IGNORECASE)


def parse_bytes(text: str, *, whole: int, option: str = "--budget") -> int:
    """Return the bytes that `text` names.

    Args:
        text: a number with a decimal (``MB``, ``GB``) or binary (``MiB``, ``GiB``) unit, or a
            percentage of `whole`.
        whole: bytes that ``100%`` stands for; a share of nothing is nothing.
        option: named in the error.

    Raises:
        UsageError: when `text` names less than a byte, no share, or no amount at all.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match:
        number, unit = float(match[1]), match[2].lower()
        if unit == "%" and 0 < number <= 100:
            return int(whole * number / 100)
        if unit in _BYTES and 1 <= number * _BYTES[unit] < 2**60:
            return int(number * _BYTES[unit])
    raise UsageError(
        f"not an amount of memory: {text}",
        where=option,
        remedy="write for example 4GB, 3.5GiB, 800MB or 50%",
    )


def parse_seconds(text: str, *, option: str = "--time") -> float:
    """Return the seconds that `text` names: ``90s``, ``2m``, ``1h30m``.

    Raises:
        UsageError: when `text` is no positive duration of at most 365 days.
    """
    compact = text.strip().lower().replace(" ", "")
    parts = _AMOUNT.findall(compact[:_MAX_LENGTH])  # its time grows with the square
    if (
        parts
        and "".join(n + u for n, u in parts) == compact
        and all(u in _SECONDS for _, u in parts)
    ):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        if 0 < seconds <= 365 * 86400:
            return seconds
    raise UsageError(
        f"not a duration: {text}", where=option, remedy="write for example 90s, 2m or 1h30m"
    )
