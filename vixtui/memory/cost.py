"""What a step of any model takes, from the traced steps of its preset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vixtui.memory.execution import Execution
from vixtui.memory.figures import BASIS_CLASSES, PresetFigures, StepFigures
from vixtui.models.config import ModelConfig

# Weight, gradient, two AdamW moments and the averaged weight, in single precision.
_BYTES_A_PARAMETER = 20
_GRADIENT_BYTES = 4
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
        budget_bytes: the smallest limit under which the allocator can serve the step.
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
    the batch for any number of tokens.

    Args:
        figures: of the preset that `model` comes from.
        execution: how it is computed.
        micro_batch: pictures a forward pass.
        batch_size: pictures a step; gradients stay allocated between its micro-batches.

    Raises:
        ValueError: for larger pictures than any traced.
    """
    if max(model.image_height, model.image_width) > figures.largest_side:
        raise ValueError(f"it is offered for up to {figures.largest_side} pixels a side")

    def parabola(value: Callable[[StepFigures], float]) -> float:
        return _interpolate(figures, model, value, _through_three)

    def activation_bytes(step: StepFigures) -> int:
        return step.peak_bytes(micro_batch) - _BYTES_A_PARAMETER * step.parameters

    grey, extra_classes = model.in_channels == 1, model.num_classes - BASIS_CLASSES
    width = model.stages[-1].embed_dim
    weights = parabola(lambda step: step.grey_parameters if grey else step.parameters)
    parameters = round(weights) + (width + 1) * extra_classes
    activations = _interpolate(figures, model, activation_bytes, _between_two)
    activations += _BYTES_A_LOGIT * micro_batch * extra_classes
    kept_gradients = _GRADIENT_BYTES * parameters if micro_batch < batch_size else 0
    flops_per_image = parabola(lambda step: step.flops_per_image)
    flops_per_image += _FLOPS_A_WEIGHT * width * extra_classes
    convolution_flops = parabola(lambda step: step.convolution_flops_per_image)
    attention_flops = parabola(lambda step: step.attention_flops_per_image)
    function_bytes = parabola(lambda step: step.function_bytes_per_image)
    passes = -(-batch_size // micro_batch)
    peak_bytes = round(_BYTES_A_PARAMETER * parameters + max(0, activations) + kept_gradients)
    return StepCost(
        parameters=parameters,
        peak_bytes=peak_bytes,
        budget_bytes=peak_bytes,
        flops=round(flops_per_image) * batch_size,
        moved_bytes=round(parabola(lambda step: step.moved_bytes(passes, batch_size))),
        kernels=round(parabola(lambda step: step.kernels)) * passes,
        convolution_flops=round(convolution_flops) * batch_size,
        attention_flops=round(attention_flops) * batch_size,
        function_bytes=round(function_bytes) * batch_size,
    )


Points = Sequence[tuple[int, float]]
"""(tokens, value) pairs with rising tokens."""


def _interpolate(
    figures: PresetFigures,
    model: ModelConfig,
    value: Callable[[StepFigures], float],
    over_tokens: Callable[[Points, int], float],
) -> float:
    """Return a figure at the model's patch size and tokens: `over_tokens`, linear in patch area."""
    patch, (rows, columns) = model.patch_size, model.grid
    sizes = {step.patch_size for step in figures.steps}
    low = max(size for size in sizes if size <= patch)
    high = min(size for size in sizes if size >= patch)

    def at(size: int) -> float:
        # Only the two sizes around the model's: planning asks for thousands of costs.
        points = [(step.tokens, value(step)) for step in figures.steps if step.patch_size == size]
        return over_tokens(sorted(points), rows * columns)

    if low == high:
        return at(low)
    return at(low) + (at(high) - at(low)) * (patch**2 - low**2) / (high**2 - low**2)


def _through_three(points: Points, tokens: int) -> float:
    """Return the parabola through the three points nearest to `tokens` (Lagrange)."""
    nearest = sorted(points, key=lambda point: abs(point[0] - tokens))[:3]
    total = 0.0
    for x, y in nearest:
        for other, _ in nearest:
            if other != x:
                y *= (tokens - other) / (x - other)
        total += y
    return total


def _between_two(points: Points, tokens: int) -> float:
    """Return the line through the two points around `tokens`; before the first, its value."""
    if len(points) == 1 or tokens <= points[0][0]:
        return points[0][1]
    right = next((i for i, (x, _) in enumerate(points) if x >= tokens), len(points) - 1)
    (x_0, y_0), (x_1, y_1) = points[right - 1], points[right]
    return y_0 + (y_1 - y_0) * (tokens - x_0) / (x_1 - x_0)
