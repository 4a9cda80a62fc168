"""The way to compute a weight update: precision × recomputing × micro-batch, as fast as fits."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from vixtui.models.config import Recompute
from vixtui.planning.needs import TRIED, Need, PresetNeeds
from vixtui.planning.speed import Throughput
from vixtui.planning.types import Question
from vixtui.runs.config import Precision

# A predicted time is not exact enough to compute anything twice for less than that.
_RECOMPUTING_WORTH_IT = 1.1
# bfloat16 rounds the gradients more coarsely: the engine's own measure is the same.
_BFLOAT16_WORTH_IT = 1.15
_LEVELS: tuple[Recompute, ...] = ("none", "mlp", "block")
_SAVING: frozenset[Recompute] = frozenset({"mlp", "block"})
# Only Performer keeps less than it could: `fast` keeps its features, too.
_PERFORMER_LEVELS: tuple[Recompute, ...] = ("none", "fast", "mlp", "block")
# On a CPU without bfloat16 it is slow, which only a calibration tells before the engine tries.
_LAST_RESORT: tuple[tuple[Precision, ...], ...] = (("auto", "fp32"), ("bf16",))
_ALL_ALIKE: tuple[tuple[Precision, ...], ...] = (("auto", "fp32", "bf16"),)


def levels(needs: PresetNeeds, question: Question) -> tuple[Recompute, ...]:
    """Return how much may be recomputed, from what is preferred to what needs least."""
    if question.recompute is not None:
        return (question.recompute,)
    mixes = needs.model.token_mixer
    return _PERFORMER_LEVELS if mixes == "performer" else _LEVELS


def precisions(
    question: Question, throughput: Throughput | None = None
) -> tuple[tuple[Precision, ...], ...]:
    """Return the precisions to choose from; the later ones only where nothing earlier fits."""
    if question.precision is not None:
        return ((question.precision,),)
    known = throughput is not None and throughput.knows("bf16")
    return _LAST_RESORT if question.on_cpu and not known else _ALL_ALIKE


def find_way(
    needs: PresetNeeds, question: Question, allowed_bytes: float, throughput: Throughput
) -> Need:
    """Return the fastest way that is allowed; if none is, the one that needs least.

    What is left of the memory does not help: no larger micro-batch that is allowed is predicted to
    be faster, and of those that are as fast the smallest is taken.

    Args:
        needs: of the model.
        question: may fix precision and recomputing; its budget only tells the device.
        allowed_bytes: the most that a way may need.
        throughput: of the device.
    """
    allowed = levels(needs, question)
    for choices in precisions(question, throughput):
        found = _fastest(needs, allowed_bytes, choices, allowed, throughput)
        if found is not None:
            return found
    every = [precision for choices in precisions(question) for precision in choices]
    return needs.smallest(every, allowed)


def step_seconds(need: Need, throughput: Throughput) -> float:
    """Return the predicted time of a weight update.

    Where the engine will choose the precision, it is that of float32 unless bfloat16 is known to be
    worth it: whether a processor is faster in it only a calibration tells.
    """
    first, *others = zip(TRIED[need.precision], need.costs, strict=True)
    seconds = throughput.step_seconds(first[1], first[0])
    for precision, cost in others:
        if throughput.knows(precision):
            other = throughput.step_seconds(cost, precision)
            seconds = other if other * _BFLOAT16_WORTH_IT < seconds else seconds
    return seconds


def _fastest(
    needs: PresetNeeds,
    allowed_bytes: float,
    choices: Sequence[Precision],
    allowed: Sequence[Recompute],
    throughput: Throughput,
) -> Need | None:
    best: Need | None = None
    best_score = inf
    for recompute in allowed:
        whole = best is not None and best.passes == 1 and best.precision != "bf16"
        if whole and recompute in _SAVING:
            break  # no passes are left to save
        for precision in choices:
            # Not even in one pass would it be faster.
            if weighed_seconds(needs.whole(precision, recompute), throughput) >= best_score:
                continue
            found = needs.largest_fit(allowed_bytes, precision, recompute)
            if found is not None and (score := weighed_seconds(found, throughput)) < best_score:
                best, best_score = found, score
    return best


def weighed_seconds(need: Need, throughput: Throughput) -> float:
    """Return the seconds of an update, more where it has to earn its place."""
    seconds = step_seconds(need, throughput)
    if need.recompute in _SAVING:
        seconds *= _RECOMPUTING_WORTH_IT
    if need.precision == "bf16":
        seconds *= _BFLOAT16_WORTH_IT
    return seconds
