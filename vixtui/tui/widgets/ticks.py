"""Round numbers for an axis."""

from __future__ import annotations

from math import ceil, floor, log10


def linear_ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` round values in [low, high], evenly spaced."""
    if not high > low or most < 1:
        return [low]
    rough = (high - low) / most
    magnitude = 10.0 ** floor(log10(rough))
    for factor in (1, 2, 2.5, 5, 10, 20, 25, 50):
        step = factor * magnitude
        first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [number * step for number in range(first, last + 1)]
    return [low]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` values of the form 1, 2 or 5 times a power of ten in [low, high]."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [
            tick for power in powers for factor in factors
            if low * 0.999 <= (tick := factor * 10.0**power) <= high * 1.001
        ]  # fmt: skip
        if len(ticks) <= most:
            return ticks or [low]
    stride = ceil(len(ticks) / max(1, most))
    return ticks[::stride]


def tick_label(value: float, step: float = 1.0) -> str:
    """Return a short label, with as many decimals as `step` needs."""
    if value == 0:
        return "0"
    if abs(value) >= 1e5 or abs(value) < 1e-4:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    for decimals in range(5):
        text = f"{value:.{decimals}f}"
        if abs(float(text) - value) <= abs(step) * 0.01:
            return text
    return f"{value:.4f}"
