"""How memory and time of a training step grow with the tokens: exponents, one picture a step.

Least squares between logarithms. An exponent of 1 is linear growth, 2 quadratic. Memory is what one
more picture takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import linear_regression

import measure
from against_attention import ADAMW_BYTES, FUSED, MAIN, NAIVE, model, shipped_variants

SIDES = (16, 32, 64, 128)
# The rest takes more than 10 GB or a minute a step.
MOST_TOKENS = {NAIVE: 4096, FUSED: 4096, "mixer": 4096}
LINEAR = ("vin", "vip", "vil", "fnet", "fnet2d")
TARGET = 1.1
TURNS = 3
HEADING = (
    f"{'':24} {'tokens':>12} {'memory':>7} {'target':>7}  {'met':4} {'time':>7} {'target':>7}"
    f"  {'met':4} {'last step: memory':>18} {'time':>6}"
)


def lines() -> Iterator[str]:
    """Measure and tell, line by line."""
    yield HEADING
    for name in (NAIVE, *(name for name in shipped_variants() if name in MAIN)):
        sides = [side for side in SIDES if side**2 <= MOST_TOKENS.get(name, math.inf)]
        seconds = [_seconds(name, side) for side in sides]
        if name == "mixer":
            # Beyond 1,024 tokens its weights hide what a picture takes.
            taken = [float(ADAMW_BYTES * _parameters(name, side)) for side in sides]
        else:
            taken = [_sample_bytes(name, side) for side in sides]
        tokens = [side**2 for side in sides]
        memory, time = _exponent(tokens, taken), _exponent(tokens, seconds)
        target = TARGET if name in LINEAR else None
        span = f"{tokens[0]}-{tokens[-1]:,}"
        label = "mixer (memory: weights)" if name == "mixer" else name
        yield (
            f"{label:24} {span:>12} {memory:7.2f} {measure.verdict(memory, target)}"
            f" {time:7.2f} {measure.verdict(time, target)}"
            f" {_exponent(tokens[-2:], taken[-2:]):18.2f}"
            f" {_exponent(tokens[-2:], seconds[-2:]):6.2f}"
        )


def _seconds(name: str, side: int) -> float:
    step = measure.training_step(model(name, "none", side), 1, side)
    return min(measure.interleaved_seconds([step], TURNS)[0])


def _sample_bytes(name: str, side: int) -> float:
    return measure.sample_bytes(
        lambda batch: measure.training_step(model(name, "none", side), batch, side), (1, 2)
    )


def _parameters(name: str, side: int) -> int:
    return sum(parameter.numel() for parameter in model(name, "none", side).parameters())


def _exponent(tokens: list[int], amounts: list[float]) -> float:
    logarithms = [[math.log(value) for value in values] for values in (tokens, amounts)]
    return linear_regression(*logarithms).slope
