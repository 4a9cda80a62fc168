"""What a step of any model takes, from the traced steps of its preset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf, prod

from vixtui.memory.allocator import WORKSPACE_BYTES
from vixtui.memory.execution import EVALUATION_FACTOR, Execution
from vixtui.memory.figures import (
    BASIS_CHANNELS,
    BASIS_CLASSES,
    BUDGET_BATCHES,
    PresetFigures,
    StepFigures,
    StepSize,
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

    sized = _Sized(figures.sizes, figures.steps(execution), model)
    batch = _Batch(micro_batch, batch_size, execution)
    extra_classes, width = model.num_classes - BASIS_CLASSES, model.stages[-1].embed_dim
    grey = model.in_channels == 1
    weights = sized.value(lambda step: step.grey_parameters if grey else step.parameters)
    parameters = round(weights) + (width + 1) * extra_classes
    activations = _activation_bytes(sized, batch, parameters)
    activations += _BYTES_A_LOGIT * micro_batch * extra_classes
    peak_bytes = round(_BYTES_A_PARAMETER * parameters + max(0, activations))

    def of_images(value: Value) -> int:
        return round(sized.value(value)) * batch_size

    flops = sized.value(lambda step: step.flops_per_image) + _FLOPS_A_WEIGHT * width * extra_classes
    # What a pass moves besides its pictures is little, and could come out below nothing.
    moved_a_pass = max(0.0, sized.value(lambda step: step.moved_line[0]))
    moved_otherwise = sized.value(lambda step: step.moved_bytes(0, batch_size))
    kernels = round(sized.value(lambda step: step.kernels)) * batch.passes
    return StepCost(
        parameters=parameters,
        peak_bytes=peak_bytes,
        budget_bytes=peak_bytes + max(0, round(_extra_bytes(sized, batch, peak_bytes))),
        flops=round(flops) * batch_size,
        moved_bytes=round(moved_a_pass * batch.passes + moved_otherwise),
        kernels=kernels + round(sized.value(lambda step: step.update_kernels)),
        convolution_flops=of_images(lambda step: step.convolution_flops_per_image),
        attention_flops=of_images(lambda step: step.attention_flops_per_image),
        function_bytes=of_images(lambda step: step.function_bytes_per_image),
    )


@dataclass(frozen=True, slots=True)
class _Batch:
    """How a step computes its pictures."""

    micro: int
    whole: int
    execution: Execution

    @property
    def passes(self) -> int:
        return -(-self.whole // self.micro)

    @property
    def accumulates(self) -> bool:
        return self.micro < self.whole

    @property
    def on_gpu(self) -> bool:
        return self.execution.backend == "cuda"


Value = Callable[[StepFigures], float]


class _Sized:
    """Traced steps of a preset, and how much of which a model of it is by its size."""

    def __init__(
        self, sizes: Sequence[StepSize], steps: Sequence[StepFigures], model: ModelConfig
    ) -> None:
        self.sizes, self.steps, self.model, self.patch = sizes, steps, model, model.patch_size
        rows, columns = model.grid
        self.tokens = rows * columns
        self.pixels = model.image_height * model.image_width
        self.padded_pixels = self.tokens * self.patch**2
        self._traced = _patches_and_tokens(sizes)
        self._curve = _weights(self._traced, self.patch, self.tokens, _corrected)

    def value(self, value: Value) -> float:
        """Return what a step of the model has of something."""
        return self._total(self._curve, value)

    def value_of_pictures(self, value: Value) -> float:
        """Return what it has of something that goes by its pixels, not by its patches."""
        whole_patches = self.pixels / self.patch**2
        return self._total(_weights(self._traced, self.patch, whole_patches, _between_two), value)

    def value_of_padding(self, value: Value, most_a_pixel: float) -> float:
        """Return what there is of something for pixels that the last patches have beyond the edge.

        Args:
            value: of a traced step, all patches of which are whole.
            most_a_pixel: that it can be, where patches are as large as they are, whatever part of
                them is picture.
        """
        beyond = self.padded_pixels - self.pixels
        smallest = min(size for size, _ in self._traced)
        if not beyond or smallest == self.patch:
            return 0.0
        # Of as many tokens with the smallest patches, less is for pixels alone.
        here, there = (
            self._total(_weights(self._traced, size, self.tokens, _between_two), value)
            for size in (self.patch, smallest)
        )
        a_pixel = max(0.0, here - there) / (self.tokens * (self.patch**2 - smallest**2))
        return beyond * min(a_pixel, most_a_pixel)

    def searched(self) -> Weights:
        """Return how much of which steps with smallest budgets it is; nothing if there are none."""
        searched = [index for index, size in enumerate(self.sizes) if size.searched]
        if not searched:
            return ()
        traced = _patches_and_tokens([self.sizes[index] for index in searched])
        weights = _weights(traced, self.patch, self.tokens, _between_two)
        return tuple((searched[index], share) for index, share in weights)

    def _total(self, weights: Weights, value: Value) -> float:
        return sum(share * value(self.steps[index]) for index, share in weights)


def _activation_bytes(sized: _Sized, batch: _Batch, parameters: int) -> float:
    """Return the most that is allocated besides weights: for tokens, pictures or padded pictures.

    Args:
        parameters: of the model.
    """

    def besides_weights(peak: Callable[..., float]) -> Value:
        return lambda step: (
            peak(step, batch.micro, accumulate=batch.accumulates)
            - _BYTES_A_PARAMETER * step.parameters
        )

    of_tokens = besides_weights(StepFigures.token_bytes)
    of_pictures = besides_weights(StepFigures.picture_bytes)
    model, linear = sized.model, sized.model.embedding == "linear"
    most_a_pixel = _BYTES_A_VALUE * BASIS_CHANNELS * batch.micro if linear else inf
    found = max(
        sized.value(of_tokens) - sized.value_of_padding(of_tokens, most_a_pixel),
        sized.value_of_pictures(of_pictures),
    )
    if not linear or sized.padded_pixels == sized.pixels:
        return found
    # While pictures are padded, cut into patches and embedded.
    values = BASIS_CHANNELS * (sized.pixels + 2 * sized.padded_pixels)
    values += sized.tokens * model.stages[0].embed_dim
    padded = _BYTES_A_VALUE * EVALUATION_FACTOR[batch.execution.backend] * batch.micro * values
    # There are no gradients in an evaluation.
    padded += (WORKSPACE_BYTES if batch.on_gpu else 0) - _BYTES_A_VALUE * parameters
    return max(found, padded)


def _extra_bytes(sized: _Sized, batch: _Batch, peak_bytes: int) -> float:
    """Return by how much the smallest budget is more than the peak."""
    weights = sized.searched()
    if not weights:
        return 0.0
    extra = sum(share * sized.steps[index].extra_bytes(batch.micro) for index, share in weights)
    exact = len(weights) == 1 and batch.micro in BUDGET_BATCHES and not batch.accumulates
    return extra + (_BETWEEN * peak_bytes if batch.on_gpu and not exact else 0.0)


Traced = tuple[tuple[int, int], ...]
"""(patch size, tokens) of each traced step."""
Weights = tuple[tuple[int, float], ...]
"""How much of which traced step, by its index; they add up to 1."""
Steps = Sequence[tuple[int, int]]
"""(tokens, index) of steps with patches of one size, rising."""
Way = Callable[[Steps, Steps, float], Weights]
"""How to interpolate between steps, with help of others, at a number of tokens."""


def _patches_and_tokens(sizes: Sequence[StepSize]) -> Traced:
    return tuple((size.patch_size, size.tokens) for size in sizes)


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
