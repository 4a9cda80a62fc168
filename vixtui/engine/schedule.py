"""The learning rate over a run whose end is given in epochs or in seconds."""

from __future__ import annotations

import math


def learning_rate(progress: float, *, peak: float, warmup: float) -> float:
    """Return the rate at a fraction of the run: linear up to `peak`, then cosine to zero.

    Args:
        progress: fraction of the run done, 0 to 1.
        peak: largest rate.
        warmup: fraction of the run with rising rate; its first step has a tenth of the peak.
    """
    if progress < warmup:
        return peak * (0.1 + 0.9 * progress / warmup)
    rest = (min(progress, 1.0) - warmup) / max(1e-9, 1 - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * rest))
