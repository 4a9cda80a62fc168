"""The question and the answer (`Candidate`) of planning."""

from __future__ import annotations

from dataclasses import dataclass

from vixtui.models.config import ModelConfig, Recompute
from vixtui.runs.config import Precision

BATCH_SIZE = 64


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
class Question:
    """What is asked of planning.

    Args:
        task: what is to be learned.
        budget: memory that may be used, and where.
        batch_size: pictures a weight update.
        seconds: training time, if limited; presets too slow for it go behind the others.
        precision, recompute: how an update is computed; None lets planning choose.
        changes: to each preset's model, as ``NAME=VALUE``.
        processes: that share an update, of which the others are about one.
    """

    task: Task
    budget: Budget
    batch_size: int = BATCH_SIZE
    seconds: float | None = None
    precision: Precision | None = None
    recompute: Recompute | None = None
    changes: tuple[str, ...] = ()
    processes: int = 1

    @property
    def on_cpu(self) -> bool:
        """Whether the budget is one of RAM."""
        return self.budget.device == "cpu"

    @property
    def step_images(self) -> int:
        """Pictures a weight update: the batch size, or all there are."""
        return max(1, min(self.batch_size, self.task.images))


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A preset measured against a budget, in the fastest way to compute it that fits.

    Args:
        preset: ``variant:size``.
        title: for people.
        model: the model for this task.
        parameters: number of weights.
        batch_size: effective batch.
        micro_batch: pictures a forward pass; accumulation makes up for the rest.
        precision: of the matrix products; with ``auto``, float32 and bfloat16 both fit.
        recompute: what is computed twice to need less memory.
        peak_bytes: predicted peak memory of the whole engine.
        uncorrected_bytes: the same before earlier runs corrected it.
        peak_basis: how it was predicted.
        seconds_per_epoch: predicted or measured.
        time_basis: which of the two, and from what.
        accuracy: top-1 measured with this program on a reference task, or None.
        accuracy_basis: what was measured, or that nothing was.
        remembered: which earlier run ran out of memory and keeps `micro_batch` down; or empty.
        fits: whether it fits the budget.
        reason: in a few words why it ranks where it does, or why it does not fit.
    """

    preset: str
    title: str
    model: ModelConfig
    parameters: int
    batch_size: int
    micro_batch: int
    precision: Precision = "auto"
    recompute: Recompute = "none"
    peak_bytes: int
    uncorrected_bytes: int
    peak_basis: str
    seconds_per_epoch: float
    time_basis: str
    accuracy: float | None
    accuracy_basis: str
    remembered: str = ""
    fits: bool
    reason: str

    @property
    def passes(self) -> int:
        """Forward passes a weight update."""
        return -(-self.batch_size // self.micro_batch)
