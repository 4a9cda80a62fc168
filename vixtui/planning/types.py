"""The question (`Task`, `Budget`) and the answer (`Candidate`) of planning."""

from __future__ import annotations

from dataclasses import dataclass

from vixtui.models.config import ModelConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is to be learned. Sizes in pixels; `images` is the number of training pictures."""

    image_height: int
    image_width: int
    in_channels: int
    num_classes: int
    images: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Memory that a run may use on one device (``cpu`` or `Gpu.device`) and who said so."""

    device: str
    bytes: int
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A preset measured against a budget.

    Args:
        preset: ``variant:size``.
        title: for people.
        model: the model for this task.
        parameters: number of weights.
        batch_size: effective batch.
        micro_batch: largest forward pass that fits; accumulation makes up for the rest.
        peak_bytes: predicted peak memory of the whole engine at `micro_batch`.
        peak_basis: how it was predicted.
        seconds_per_epoch: predicted or measured.
        time_basis: which of the two, and from what.
        accuracy: top-1 measured with this program on a reference task, or None.
        accuracy_basis: what was measured, or that nothing was.
        fits: whether `micro_batch` ≥ 1 fits the budget.
        reason: in a few words why it ranks where it does, or why it does not fit.
    """

    preset: str
    title: str
    model: ModelConfig
    parameters: int
    batch_size: int
    micro_batch: int
    peak_bytes: int
    peak_basis: str
    seconds_per_epoch: float
    time_basis: str
    accuracy: float | None
    accuracy_basis: str
    fits: bool
    reason: str
