"""Ways to compute an update in words, the same on the command line and on the screens."""

from __future__ import annotations

from vixtui.planning.types import Candidate
from vixtui.text import counted

_RECOMPUTED = {
    "fast": "everything kept",
    "none": "nothing recomputed",
    "mlp": "MLPs recomputed",
    "block": "blocks recomputed",
}
_PRECISIONS = {"auto": "fp32 or bf16, whichever is faster"}


def describe_way(candidate: Candidate) -> str:
    """Return how an update is computed: ``64 pictures in 3 passes, MLPs recomputed, fp32``."""
    precision = _PRECISIONS.get(candidate.precision, candidate.precision)
    return f"{describe_memory_saving(candidate)}, {precision}"


def describe_memory_saving(candidate: Candidate) -> str:
    """Return what is done to need less memory: ``64 pictures in 3 passes, MLPs recomputed``."""
    pictures = f"{counted(candidate.batch_size, 'picture')} in "
    passes = "one pass" if candidate.passes == 1 else f"{candidate.passes} passes"
    return f"{pictures}{passes}, {_RECOMPUTED[candidate.recompute]}"


def short_way(candidate: Candidate) -> str:
    """Return precision and recomputing for a column: ``auto``, ``bf16 mlp``."""
    recompute = "" if candidate.recompute == "none" else f" {candidate.recompute}"
    return f"{candidate.precision}{recompute}"
