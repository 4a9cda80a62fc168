"""The ways to compute the same weight update, from most memory to least."""

from __future__ import annotations

from vixtui.models.config import Recompute

Way = tuple[int, Recompute]
"""Pictures at a time, and what of them is computed twice."""

LEVELS: tuple[Recompute, ...] = ("fast", "none", "mlp", "block")


def smaller(micro_batch: int, recompute: Recompute) -> Way | None:
    """Return the next way in less memory, or None after the last."""
    if micro_batch > 1:
        return micro_batch // 2, recompute
    following = LEVELS[LEVELS.index(recompute) + 1 :]
    return (1, following[0]) if following else None
