"""What a training step of each preset takes, from ``figures.json``; never imports torch.

``vixtui.memory.trace`` makes the file. A step needs a + b · batch bytes, the largest over a few
such lines; between traced token counts and patch areas the figures are interpolated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from vixtui.models.config import ModelConfig
from vixtui.presets import Preset, all_presets

PATH = Path(__file__).with_name("figures.json")
SCHEMA_VERSION = 1
BASIS_CLASSES = 10
BASIS_CHANNELS = 3
# Weight, gradient, two AdamW moments and the averaged weight, in single precision.
BYTES_A_PARAMETER = 20
_GRADIENT_BYTES = 4

Line = tuple[int, int]
"""Intercept and slope of a quantity that grows with the batch."""


@dataclass(frozen=True, slots=True)
class StepFigures:
    """A traced step for square RGB pictures and ten classes.

    Args:
        patch_size, tokens: of the traced model; no class token counted.
        parameters: number of weights.
        grey_parameters: the same for pictures of one channel.
        peak_lines: peak bytes are the largest of intercept + slope · batch.
        flops_per_image: floating-point operations of forward and backward.
        moved_line: bytes that operations read and write.
        kernels: operations started.
    """

    patch_size: int
    tokens: int
    parameters: int
    grey_parameters: int
    peak_lines: tuple[Line, ...]
    flops_per_image: int
    moved_line: Line
    kernels: int

    def peak_bytes(self, batch: int) -> int:
        """Return the most that a step of `batch` pictures allocates."""
        return max(low + slope * batch for low, slope in self.peak_lines)

    def moved_bytes(self, batch: int) -> int:
        """Return what a step of `batch` pictures reads and writes."""
        return self.moved_line[0] + self.moved_line[1] * batch


@dataclass(frozen=True, slots=True)
class PresetFigures:
    """All traced steps of a preset, the model options that held then, and how far they reach."""

    options: Mapping[str, Any]
    largest_side: int
    steps: tuple[StepFigures, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """The whole file: made with which torch, from which model sources (SHA-256)."""

    torch: str
    sources: str
    presets: Mapping[str, PresetFigures]


@dataclass(frozen=True, slots=True)
class StepCost:
    """What one optimizer step takes.

    Args:
        parameters: number of weights.
        peak_bytes: the most allocated at once, on fake tensors in single precision.
        flops, moved_bytes, kernels: of all micro-batches of the step together.
    """

    parameters: int
    peak_bytes: int
    flops: int
    moved_bytes: int
    kernels: int


def step_cost(
    figures: PresetFigures, model: ModelConfig, *, micro_batch: int, batch_size: int
) -> StepCost:
    """Return what a step of `model` takes.

    Args:
        figures: of the preset that `model` comes from.
        micro_batch: pictures a forward pass.
        batch_size: pictures a step; gradients stay allocated between its micro-batches.

    Raises:
        ValueError: for larger pictures than any traced.
    """
    patches = _by_patch(figures)
    if max(model.image_height, model.image_width) > figures.largest_side:
        raise ValueError(f"it is offered for up to {figures.largest_side} pixels a side")
    rows, columns = model.grid

    def at(value: Callable[[StepFigures], float]) -> float:
        return _interpolate(patches, value, model.patch_size, rows * columns)

    parameters = round(at(lambda s: s.parameters))
    wanted = parameters
    if model.in_channels == 1:
        wanted = round(at(lambda s: s.grey_parameters))
    extra_classes = model.num_classes - BASIS_CLASSES
    wanted += (model.embed_dim + 1) * extra_classes
    accumulated = micro_batch < batch_size
    passes = -(-batch_size // micro_batch)
    return StepCost(
        parameters=wanted,
        peak_bytes=round(
            at(lambda s: s.peak_bytes(micro_batch))
            + BYTES_A_PARAMETER * (wanted - parameters)
            + 4 * 4 * micro_batch * extra_classes  # logits, their softmax and both gradients
            + _GRADIENT_BYTES * wanted * accumulated
        ),
        flops=batch_size
        * round(at(lambda s: s.flops_per_image) + 6 * model.embed_dim * extra_classes),
        moved_bytes=round(at(lambda s: s.moved_bytes(micro_batch)) * passes),
        kernels=round(at(lambda s: s.kernels)) * passes,
    )


def _by_patch(figures: PresetFigures) -> dict[int, list[StepFigures]]:
    def patch_size(step: StepFigures) -> int:
        return step.patch_size

    ordered = sorted(figures.steps, key=patch_size)
    return {patch: list(steps) for patch, steps in groupby(ordered, key=patch_size)}


def _interpolate(
    patches: dict[int, list[StepFigures]],
    value: Callable[[StepFigures], float],
    patch: int,
    tokens: int,
) -> float:
    """Return a figure for any patch size and token count: linear in patch area, then in tokens."""
    low = max(size for size in patches if size <= patch)
    high = min(size for size in patches if size >= patch)
    at_low = _over_tokens(patches[low], value, tokens)
    if low == high:
        return at_low
    share = (patch**2 - low**2) / (high**2 - low**2)
    return at_low + share * (_over_tokens(patches[high], value, tokens) - at_low)


def _over_tokens(
    steps: list[StepFigures], value: Callable[[StepFigures], float], tokens: int
) -> float:
    """Return the parabola through the three traced token counts nearest to `tokens`.

    Weights, operations and memory are polynomials of degree two at most in the tokens.
    """
    nearest = sorted(steps, key=lambda step: abs(step.tokens - tokens))[:3]
    total = 0.0
    for step in nearest:
        weight = 1.0
        for other in nearest:
            if other is not step:
                weight *= (tokens - other.tokens) / (step.tokens - other.tokens)
        total += weight * value(step)
    return total


@cache
def read_figures(path: Path = PATH) -> Figures:
    """Return the shipped figures.

    Raises:
        ValueError: when the file is of another schema.
    """
    table = json.loads(path.read_text(encoding="utf-8"))
    if table["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"{path.name} has another schema: python -m vixtui.memory.trace --write")
    presets = {
        name: PresetFigures(
            options=entry["options"],
            largest_side=entry["largest_side"],
            steps=tuple(_step(step) for step in entry["steps"]),
        )
        for name, entry in table["presets"].items()
    }
    return Figures(table["torch"], table["sources"], presets)


def _step(table: dict[str, Any]) -> StepFigures:
    lines = tuple((low, slope) for low, slope in table["peak_lines"])
    low, slope = table["moved_line"]
    return StepFigures(**{**table, "peak_lines": lines, "moved_line": (low, slope)})


def encode_figures(figures: Figures) -> bytes:
    """Return the file's content, one traced step a line so that changes read well."""
    presets = []
    for name, entry in figures.presets.items():
        steps = ",\n".join("    " + json.dumps(asdict(step)) for step in entry.steps)
        about = {"options": dict(entry.options), "largest_side": entry.largest_side}
        presets.append(f'  {json.dumps(name)}: {json.dumps(about)[:-1]}, "steps": [\n{steps}]}}')
    head = {"schema_version": SCHEMA_VERSION, "torch": figures.torch, "sources": figures.sources}
    body = ",\n".join(presets)
    return f'{json.dumps(head)[:-1]}, "presets": {{\n{body}}}}}\n'.encode()


def model_options(preset: Preset) -> dict[str, Any]:
    """Return everything in a preset that its figures depend on."""
    return {**preset.options, "tokens_per_side": preset.tokens_per_side}


def stale_presets(figures: Figures, sources: str) -> list[str]:
    """Return the presets whose options, or the models' sources, have changed since the trace."""
    return [
        name
        for name, preset in all_presets().items()
        if figures.sources != sources
        or name not in figures.presets
        or figures.presets[name].options != model_options(preset)
    ]
