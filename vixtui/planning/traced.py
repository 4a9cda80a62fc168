"""The needs of a model that no preset is: from a trace of its own training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from vixtui.memory.execution import Backend, Execution
from vixtui.memory.figures import (
    BASIS_CHANNELS,
    BASIS_CLASSES,
    PresetFigures,
    StepFigures,
    execution_of,
    read_step,
)
from vixtui.models.config import ModelConfig
from vixtui.planning.needs import PresetNeeds, changed_model, preset_figures
from vixtui.planning.types import Question

Trace = Callable[[ModelConfig, Backend], Mapping[Execution, StepFigures]]
"""Traces a model in every way to compute it, as the engine can; planning cannot."""


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
    basis = replace(model, in_channels=BASIS_CHANNELS, num_classes=BASIS_CLASSES)
    steps = trace(basis, "cpu" if question.on_cpu else "cuda")
    return PresetNeeds(
        name,
        model,
        images=task.images,
        batch_size=question.step_images,
        on_cpu=question.on_cpu,
        figures=PresetFigures.traced(
            options=known.options,
            largest_side=known.largest_side,
            executions={execution: (step,) for execution, step in steps.items()},
        ),
    )


def read_trace(reply: Mapping[str, Any]) -> dict[Execution, StepFigures]:
    """Return the figures of an engine's answer.

    Raises:
        ValueError: when something is missing.
    """
    try:
        return {execution_of(name): read_step(row) for name, row in reply["steps"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"the engine's answer is incomplete: {error}") from error
