"""What a training step of each preset takes, from ``figures.json``; never imports torch.

``vixtui.memory.trace`` makes the file. A step needs a + b · batch bytes, the largest over a few
such lines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vixtui.presets import Preset, all_presets

PATH = Path(__file__).with_name("figures.json")
SCHEMA_VERSION = 1
BASIS_CLASSES = 10
BASIS_CHANNELS = 3

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
        convolution_flops_per_image, attention_flops_per_image: those of `flops_per_image` that
            such kernels do.
        function_bytes_per_image: those moved by exponentials, GELU, norms and the like.
    """

    patch_size: int
    tokens: int
    parameters: int
    grey_parameters: int
    peak_lines: tuple[Line, ...]
    flops_per_image: int
    moved_line: Line
    kernels: int
    convolution_flops_per_image: int = 0
    attention_flops_per_image: int = 0
    function_bytes_per_image: int = 0

    def peak_bytes(self, batch: int) -> int:
        """Return the most that a step of `batch` pictures allocates."""
        return max(low + slope * batch for low, slope in self.peak_lines)

    def moved_bytes(self, passes: int, batch: int) -> int:
        """Return what a step of `batch` pictures in some passes reads and writes."""
        return self.moved_line[0] * passes + self.moved_line[1] * batch


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
