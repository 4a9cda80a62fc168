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
    pictures = counted(candidate.batch_size, "picture")
    precision = _PRECISIONS.get(candidate.precision, candidate.precision)
    return f"{pictures} in {_passes(candidate)}, {_RECOMPUTED[candidate.recompute]}, {precision}"


def brief_way(candidate: Candidate) -> str:
    """Return the same in a few words: ``64 in one pass, fp32 or bf16``."""
    parts = [f"{candidate.batch_size} in {_passes(candidate)}"]
    if candidate.recompute != "none":
        parts.append(_RECOMPUTED[candidate.recompute])
    parts.append("fp32 or bf16" if candidate.precision == "auto" else candidate.precision)
    return ", ".join(parts)


def short_way(candidate: Candidate) -> str:
    """Return precision and recomputing for a column: ``auto``, ``bf16 mlp``."""
    recompute = "" if candidate.recompute == "none" else f" {candidate.recompute}"
    return f"{candidate.precision}{recompute}"


def _passes(candidate: Candidate) -> str:
    return "one pass" if candidate.passes == 1 else f"{candidate.passes} passes"
