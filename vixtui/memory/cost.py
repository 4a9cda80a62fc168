"""What a step of any model takes, from the traced steps of its preset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from vixtui.memory.execution import Execution
from vixtui.memory.figures import BASIS_CLASSES, PresetFigures, StepFigures
from vixtui.models.config import ModelConfig

# Weight, gradient, two AdamW moments and the averaged weight, in single precision.
_BYTES_A_PARAMETER = 20
# Logits, their softmax and the gradients of both, in single precision.
_BYTES_A_LOGIT = 16
# Forward, gradient of the weights and of the input: a product and a sum each.
_FLOPS_A_WEIGHT = 6


@dataclass(frozen=True, slots=True)
class StepCost:
    """What one optimizer step takes.

    Args:
        parameters: number of weights.
        peak_bytes: the most allocated at once.
        budget_bytes: the smallest limit under which the allocator can serve the step; on the CPU
            what the heap grows by.
        flops, moved_bytes, kernels: of all micro-batches of the step together.
        convolution_flops, attention_flops: those of `flops` that such kernels do.
        function_bytes: those of `moved_bytes` that exponentials, GELU, norms and the like move.
    """

    parameters: int
    peak_bytes: int
    budget_bytes: int
    flops: int
    moved_bytes: int
    kernels: int
    convolution_flops: int = 0
    attention_flops: int = 0
    function_bytes: int = 0


def step_cost(
    figures: PresetFigures,
    model: ModelConfig,
    execution: Execution,
    *,
    micro_batch: int,
    batch_size: int,
) -> StepCost:
    """Return what a step of `model` takes.

    Figures that grow with the square of the tokens (weights, operations) are interpolated by
    parabolas, which is exact; memory besides the weights by straight lines, so that it grows with
    the batch for any number of tokens. Traced pictures are whole patches; what others lack of them
    takes memory that smaller patches tell.

    Args:
        figures: of the preset that `model` comes from.
        execution: how it is computed.
        micro_batch: pictures a forward pass.
        batch_size: pictures a step; gradients stay allocated between its micro-batches.

    Raises:
        KeyError: when it was not traced in this way.
        ValueError: for larger pictures than any traced.
    """
    if max(model.image_height, model.image_width) > figures.largest_side:
        raise ValueError(f"it is offered for up to {figures.largest_side} pixels a side")

    steps, accumulate = figures.steps(execution), micro_batch < batch_size
    rows, columns = model.grid
    pixels = model.image_height * model.image_width
    traced = tuple((step.patch_size, step.tokens) for step in steps)
    curve, line = (_weights(traced, model.patch_size, rows * columns, n) for n in (2, 1))

    def total(weights: Weights, value: Callable[[StepFigures], float]) -> float:
        return sum(share * value(steps[index]) for index, share in weights)

    def of_pixels(value: Callable[[StepFigures], float]) -> float:
        """Return what there is of `value` for pixels that the last patches have beyond the edge."""
        patch, beyond = model.patch_size, rows * columns * model.patch_size**2 - pixels
        other = max((size for size, _ in traced if size < patch), default=None)
        if not beyond or other is None:
            return 0.0
        # Of as many tokens with smaller patches, less is for pixels alone.
        less = total(line, value) - total(_weights(traced, other, rows * columns, 1), value)
        return beyond * max(0.0, less) / (rows * columns * (patch**2 - other**2))

    def parabola(value: Callable[[StepFigures], float]) -> float:
        return total(curve, value)

    def activation_bytes(step: StepFigures) -> float:
        peak = step.peak_bytes(micro_batch, accumulate=accumulate)
        return peak - _BYTES_A_PARAMETER * step.parameters

    grey, extra_classes = model.in_channels == 1, model.num_classes - BASIS_CLASSES
    width = model.stages[-1].embed_dim
    weights = parabola(lambda step: step.grey_parameters if grey else step.parameters)
    parameters = round(weights) + (width + 1) * extra_classes
    activations = total(line, activation_bytes) - of_pixels(activation_bytes)
    activations += _BYTES_A_LOGIT * micro_batch * extra_classes
    flops_per_image = parabola(lambda step: step.flops_per_image)
    flops_per_image += _FLOPS_A_WEIGHT * width * extra_classes
    convolution_flops = parabola(lambda step: step.convolution_flops_per_image)
    attention_flops = parabola(lambda step: step.attention_flops_per_image)
    function_bytes = parabola(lambda step: step.function_bytes_per_image)
    passes = -(-batch_size // micro_batch)
    kernels = round(parabola(lambda step: step.kernels)) * passes
    # What a pass moves besides its pictures is little, and could come out below nothing.
    moved_a_pass = max(0.0, parabola(lambda step: step.moved_line[0]))
    moved_otherwise = parabola(lambda step: step.moved_bytes(0, batch_size))
    peak_bytes = round(_BYTES_A_PARAMETER * parameters + max(0, activations))
    extra = total(line, lambda step: step.extra_bytes(micro_batch))
    return StepCost(
        parameters=parameters,
        peak_bytes=peak_bytes,
        budget_bytes=peak_bytes + max(0, round(extra)),
        flops=round(flops_per_image) * batch_size,
        moved_bytes=round(moved_a_pass * passes + moved_otherwise),
        kernels=kernels + round(parabola(lambda step: step.update_kernels)),
        convolution_flops=round(convolution_flops) * batch_size,
        attention_flops=round(attention_flops) * batch_size,
        function_bytes=round(function_bytes) * batch_size,
    )


Traced = tuple[tuple[int, int], ...]
"""(patch size, tokens) of each traced step."""
Weights = tuple[tuple[int, float], ...]
"""How much of which traced step, by its index; they add up to 1."""


@lru_cache(maxsize=256)
def _weights(traced: Traced, patch: int, tokens: int, degree: int) -> Weights:
    """Return how to interpolate: over tokens by a curve of `degree` 1 or 2, linear in patch area.

    Raises:
        ValueError: for smaller or larger patches than any traced.
    """
    low = max(size for size, _ in traced if size <= patch)
    high = min(size for size, _ in traced if size >= patch)
    over_tokens = _through_three if degree == 2 else _between_two

    def at(size: int, share: float) -> Weights:
        steps = [(count, index) for index, (other, count) in enumerate(traced) if other == size]
        return tuple((index, share * part) for index, part in over_tokens(sorted(steps), tokens))

    if low == high:
        return at(low, 1.0)
    share = (patch**2 - low**2) / (high**2 - low**2)
    return at(low, 1 - share) + at(high, share)


def _through_three(steps: Sequence[tuple[int, int]], tokens: int) -> Weights:
    """Return the parabola through the three steps nearest in tokens (Lagrange).

    Args:
        steps: (tokens, index), rising.
        tokens: where to look.
    """
    nearest = sorted(steps, key=lambda step: abs(step[0] - tokens))[:3]
    return tuple(
        (index, prod((tokens - other) / (x - other) for other, _ in nearest if other != x))
        for x, index in nearest
    )


def _between_two(steps: Sequence[tuple[int, int]], tokens: int) -> Weights:
    """Return the line through the two steps around `tokens`; before the first, its value."""
    if len(steps) == 1 or tokens <= steps[0][0]:
        return ((steps[0][1], 1.0),)
    right = next((at for at, (x, _) in enumerate(steps) if x >= tokens), len(steps) - 1)
    (x_0, before), (x_1, behind) = steps[right - 1], steps[right]
    share = (tokens - x_0) / (x_1 - x_0)
    return ((before, 1 - share), (behind, share))
