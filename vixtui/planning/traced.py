"""The needs of a model that no preset is: from a trace of its own training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from vixtui.memory.figures import (
    BASIS_CHANNELS,
    BASIS_CLASSES,
    PresetFigures,
    StepFigures,
)
from vixtui.models.config import ModelConfig
from vixtui.planning.needs import PresetNeeds, changed_model, preset_figures
from vixtui.planning.types import Question

Trace = Callable[[ModelConfig], StepFigures]
"""Traces a step of a model, as the engine can; planning cannot."""


def traced_needs(trace: Trace, name: str, question: Question) -> PresetNeeds:
    """Return the needs of a preset with the changes that are asked for.

    Args:
        trace: traces a step.
        name: of the preset.
        question: with the changes, and the task.

    Raises:
        UsageError: for changes that cannot be.
        ValueError: when the preset cannot take such pictures.
        VixtuiError: when the trace fails.
    """
    task, known = question.task, preset_figures(name)
    model = changed_model(name, task, question.changes)
    step = trace(replace(model, in_channels=BASIS_CHANNELS, num_classes=BASIS_CLASSES))
    return PresetNeeds(
        name,
        model,
        images=task.images,
        batch_size=question.step_images,
        on_cpu=question.on_cpu,
        figures=PresetFigures(
            options=known.options, largest_side=known.largest_side, steps=(step,)
        ),
    )


def read_step(reply: Mapping[str, Any]) -> StepFigures:
    """Return the figures of an engine's answer.

    Raises:
        ValueError: when something is missing.
    """
    try:
        values = {field.name: _frozen(reply[field.name]) for field in fields(StepFigures)}
        return StepFigures(**values)
    except KeyError as error:
        raise ValueError(f"the engine's answer is incomplete: {error}") from error


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
