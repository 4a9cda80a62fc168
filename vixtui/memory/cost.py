"""What a step of any model takes, from the traced steps of its preset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from vixtui.memory.allocator import WORKSPACE_BYTES
from vixtui.memory.execution import EVALUATION_FACTOR, Execution
from vixtui.memory.figures import (
    BASIS_CHANNELS,
    BASIS_CLASSES,
    BUDGET_BATCHES,
    PresetFigures,
    StepFigures,
)
from vixtui.models.config import ModelConfig

# Weight, gradient, two AdamW moments and the averaged weight, in single precision.
_BYTES_A_PARAMETER = 20
# Logits, their softmax and the gradients of both, in single precision.
_BYTES_A_LOGIT = 16
_BYTES_A_VALUE = 4
_NOTHING = 1e-9
# Smallest budgets of a GPU go in steps, of whole segments. So much more of the peak is enough for
# most of those that were not searched for.
_BETWEEN = 0.03
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

    Figures lie on a straight line over the tokens but for what depends on the tokens alone, which
    is told by the patch size that was traced for most numbers of them: by a parabola, which is
    exact for what grows with their square. Traced pictures are whole patches; what others lack of
    them takes memory that the smallest patches tell.

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
    on_gpu = execution.backend == "cuda"
    rows, columns = model.grid
    pixels = model.image_height * model.image_width
    traced = _sizes(steps)
    line, curve = (
        _weights(traced, model.patch_size, rows * columns, way)
        for way in (_between_two, _corrected)
    )
    of_pictures = _weights(traced, model.patch_size, pixels / model.patch_size**2, _between_two)

    def total(weights: Weights, value: Callable[[StepFigures], float]) -> float:
        return sum(share * value(steps[index]) for index, share in weights)

    def of_pixels(value: Callable[[StepFigures], float]) -> float:
        """Return what there is of `value` for pixels that the last patches have beyond the edge."""
        patch, beyond = model.patch_size, rows * columns * model.patch_size**2 - pixels
        other = min(size for size, _ in traced)
        if not beyond or other == patch:
            return 0.0
        # Of as many tokens with the smallest patches, less is for pixels alone.
        less = total(line, value) - total(
            _weights(traced, other, rows * columns, _between_two), value
        )
        a_pixel = max(0.0, less) / (rows * columns * (patch**2 - other**2))
        if model.embedding == "linear":
            # Patches, too, are as large as they are, whatever part of them is picture.
            a_pixel = min(a_pixel, _BYTES_A_VALUE * BASIS_CHANNELS * micro_batch)
        return beyond * a_pixel

    def padded_bytes() -> float:
        """Return what pictures take while they are padded, cut into patches and embedded."""
        padded = rows * columns * model.patch_size**2
        if model.embedding != "linear" or padded == pixels:
            return 0.0
        values = BASIS_CHANNELS * (pixels + 2 * padded) + rows * columns * model.stages[0].embed_dim
        taken = _BYTES_A_VALUE * EVALUATION_FACTOR[execution.backend] * micro_batch * values
        # There are no gradients in an evaluation.
        return taken - _BYTES_A_VALUE * parameters + (WORKSPACE_BYTES if on_gpu else 0)

    def value_at(value: Callable[[StepFigures], float]) -> float:
        return total(curve, value)

    def token_bytes(step: StepFigures) -> float:
        peak = step.token_bytes(micro_batch, accumulate=accumulate)
        return peak - _BYTES_A_PARAMETER * step.parameters

    def picture_bytes(step: StepFigures) -> float:
        peak = step.picture_bytes(micro_batch, accumulate=accumulate)
        return peak - _BYTES_A_PARAMETER * step.parameters

    grey, extra_classes = model.in_channels == 1, model.num_classes - BASIS_CLASSES
    width = model.stages[-1].embed_dim
    weights = value_at(lambda step: step.grey_parameters if grey else step.parameters)
    parameters = round(weights) + (width + 1) * extra_classes
    activations = max(
        value_at(token_bytes) - of_pixels(token_bytes),
        total(of_pictures, picture_bytes),
        padded_bytes(),
    )
    activations += _BYTES_A_LOGIT * micro_batch * extra_classes
    flops_per_image = value_at(lambda step: step.flops_per_image)
    flops_per_image += _FLOPS_A_WEIGHT * width * extra_classes
    convolution_flops = value_at(lambda step: step.convolution_flops_per_image)
    attention_flops = value_at(lambda step: step.attention_flops_per_image)
    function_bytes = value_at(lambda step: step.function_bytes_per_image)
    passes = -(-batch_size // micro_batch)
    kernels = round(value_at(lambda step: step.kernels)) * passes
    # What a pass moves besides its pictures is little, and could come out below nothing.
    moved_a_pass = max(0.0, value_at(lambda step: step.moved_line[0]))
    moved_otherwise = value_at(lambda step: step.moved_bytes(0, batch_size))
    peak_bytes = round(_BYTES_A_PARAMETER * parameters + max(0, activations))
    extra = 0.0
    if searched := [step for step in steps if step.extra]:
        shares = _weights(_sizes(searched), model.patch_size, rows * columns, _between_two)
        extra = sum(share * searched[index].extra_bytes(micro_batch) for index, share in shares)
        if on_gpu and (len(shares) > 1 or micro_batch not in BUDGET_BATCHES or accumulate):
            extra += _BETWEEN * peak_bytes
    return StepCost(
        parameters=parameters,
        peak_bytes=peak_bytes,
        budget_bytes=peak_bytes + max(0, round(extra)),
        flops=round(flops_per_image) * batch_size,
        moved_bytes=round(moved_a_pass * passes + moved_otherwise),
        kernels=kernels + round(value_at(lambda step: step.update_kernels)),
        convolution_flops=round(convolution_flops) * batch_size,
        attention_flops=round(attention_flops) * batch_size,
        function_bytes=round(function_bytes) * batch_size,
    )


Traced = tuple[tuple[int, int], ...]
"""(patch size, tokens) of each traced step."""
Weights = tuple[tuple[int, float], ...]
"""How much of which traced step, by its index; they add up to 1."""
Steps = Sequence[tuple[int, int]]
"""(tokens, index) of steps with patches of one size, rising."""
Way = Callable[[Steps, Steps, float], Weights]
"""How to interpolate between steps, with help of others, at a number of tokens."""


def _sizes(steps: Sequence[StepFigures]) -> Traced:
    return tuple((step.patch_size, step.tokens) for step in steps)


@lru_cache(maxsize=256)
def _weights(traced: Traced, patch: int, tokens: float, way: Way) -> Weights:
    """Return how to interpolate: over tokens in a way, linear in the area of patches.

    Raises:
        ValueError: for smaller or larger patches than any traced.
    """
    low = max(size for size, _ in traced if size <= patch)
    high = min(size for size, _ in traced if size >= patch)
    reference = _steps_of(traced, _reference(traced))

    def at(size: int, share: float) -> Weights:
        steps = _steps_of(traced, size)
        return tuple((index, share * part) for index, part in way(steps, reference, tokens))

    found = at(low, 1.0)
    if low != high:
        share = (patch**2 - low**2) / (high**2 - low**2)
        found = at(low, 1 - share) + at(high, share)
    shares: defaultdict[int, float] = defaultdict(float)
    for index, part in found:
        shares[index] += part
    return tuple((index, part) for index, part in shares.items() if abs(part) > _NOTHING)


def _steps_of(traced: Traced, patch: int) -> Steps:
    return sorted((count, index) for index, (size, count) in enumerate(traced) if size == patch)


def _reference(traced: Traced) -> int:
    """Return the patch size that was traced for most numbers of tokens."""
    sizes = sorted({size for size, _ in traced})
    return max(sizes, key=lambda size: sum(size == other for other, _ in traced))


def _through_three(steps: Steps, tokens: float) -> Weights:
    """Return the parabola through the three steps nearest in tokens (Lagrange).

    Beyond all of them it goes through the ends and the middle: what is padded to whole landmarks or
    windows goes up and down from step to step, which three in a row would carry on.
    """
    nearest = sorted(steps, key=lambda step: abs(step[0] - tokens))[:3]
    if len(steps) > 3 and not steps[0][0] <= tokens <= steps[-1][0]:
        nearest = [steps[0], steps[len(steps) // 2], steps[-1]]
    return tuple(
        (index, prod((tokens - other) / (x - other) for other, _ in nearest if other != x))
        for x, index in nearest
    )


def _between_two(steps: Steps, _: Steps, tokens: float) -> Weights:
    """Return the line through the two steps around `tokens`; before the first, its value."""
    if len(steps) == 1 or tokens <= steps[0][0]:
        return ((steps[0][1], 1.0),)
    right = next((at for at, (x, _) in enumerate(steps) if x >= tokens), len(steps) - 1)
    (x_0, before), (x_1, behind) = steps[right - 1], steps[right]
    share = (tokens - x_0) / (x_1 - x_0)
    return ((before, 1 - share), (behind, share))


def _corrected(steps: Steps, reference: Steps, tokens: float) -> Weights:
    """Return that line, moved by as much as the same line among other steps is off there.

    What they are at `tokens` is told by a parabola, as is all where they do not reach.
    """
    line = _between_two(steps, (), tokens)
    ends = {index: count for count, index in steps}
    if steps == reference or not all(
        reference[0][0] <= ends[index] <= reference[-1][0] for index, _ in line
    ):
        return _through_three(steps, tokens)
    moved = [*line, *_through_three(reference, tokens)]
    for index, share in line:
        moved += [(at, -share * part) for at, part in _through_three(reference, ends[index])]
    return tuple(moved)
