"""Which weights a run keeps, and when it learns no more, by scores that are noisy."""

from __future__ import annotations

import math


def standard_error(top1: float, images: int) -> float:
    """Return the binomial standard error of a fraction measured on so many pictures."""
    return math.sqrt(top1 * (1 - top1) / images)


def replaces_kept(top1: float, *, highest: float, images: int) -> bool:
    """Tell whether later weights replace the kept ones: unless they are clearly worse.

    The averaged weights of a falling learning rate get better on the whole, and the maximum of many
    noisy scores is a matter of luck more than of skill. So the later ones win while they are within
    one standard error of the highest score so far (the rule of Breiman et al. 1984 for trees).

    Args:
        top1: validation score of the later weights.
        highest: highest validation score of this run before; negative before the first.
        images: validation pictures, at least one.
    """
    return highest < 0 or top1 >= highest - standard_error(highest, images)


def is_gain(top1: float, *, since: float, images: int) -> bool:
    """Tell whether a score is above that of the last gain by more than noise.

    Small gains add up, because the reference is the last gain and not the last score.

    Args:
        top1: validation score now.
        since: validation score at the last gain; negative before the first.
        images: validation pictures, at least one.
    """
    return since < 0 or top1 > since + standard_error(since, images)
