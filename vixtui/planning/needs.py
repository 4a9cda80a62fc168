"""What the training of a preset needs at each micro-batch; nothing of it depends on the budget."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

from vixtui.memory.cost import StepCost, step_cost
from vixtui.memory.engine import CPU_BASIS, GPU_BASIS, cpu_bytes, gpu_bytes
from vixtui.memory.execution import Execution
from vixtui.memory.figures import read_figures
from vixtui.models.config import ModelConfig
from vixtui.planning.types import Task
from vixtui.presets import all_presets

# All presets at all micro-batches for several tasks: moving the budget to and fro costs nothing.
_KEPT = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What a training needs at one micro-batch.

    Args:
        micro_batch: pictures a forward pass.
        batch_size: pictures a weight update.
        cost: of one optimizer step.
        peak_bytes: predicted peak memory of the whole engine.
        basis: how that was predicted.
    """

    micro_batch: int
    batch_size: int
    cost: StepCost
    peak_bytes: int
    basis: str

    @property
    def passes(self) -> int:
        """Forward passes a weight update."""
        return -(-self.batch_size // self.micro_batch)


@lru_cache(maxsize=_KEPT)
def model_for(name: str, task: Task) -> ModelConfig:
    """Return a preset's model for a task.

    Raises:
        ValueError: when the preset cannot take such pictures.
    """
    return all_presets()[name].model_config(
        image_height=task.image_height,
        image_width=task.image_width,
        in_channels=task.in_channels,
        num_classes=task.num_classes,
    )


def micro_batches(batch_size: int) -> list[int]:
    """Return 1, 2, 4 … up to the batch size."""
    return [1 << power for power in range(batch_size.bit_length())]


@lru_cache(maxsize=_KEPT)
def need(name: str, task: Task, micro_batch: int, batch_size: int, *, on_cpu: bool) -> Need:
    """Return what a preset needs at one micro-batch.

    Raises:
        ValueError: when it cannot take such pictures.
    """
    model, figures = model_for(name, task), read_figures().presets.get(name)
    if figures is None:
        raise ValueError("no memory figures for it")
    execution = Execution("cpu" if on_cpu else "cuda")
    cost = step_cost(figures, model, execution, micro_batch=micro_batch, batch_size=batch_size)
    image_bytes = task.in_channels * task.image_height * task.image_width
    return Need(
        micro_batch=micro_batch,
        batch_size=batch_size,
        cost=cost,
        peak_bytes=(
            cpu_bytes(cost, images=task.images, image_bytes=image_bytes)
            if on_cpu
            else gpu_bytes(cost)
        ),
        basis=CPU_BASIS if on_cpu else GPU_BASIS,
    )


def largest_fit(name: str, task: Task, batch_size: int, budget_bytes: int, *, on_cpu: bool) -> Need:
    """Return the need at the largest micro-batch that fits; if none does, the smallest need.

    Smaller micro-batches need less, but for the whole batch, which keeps no gradients between
    passes and so may need less than half of it.

    Raises:
        ValueError: when the preset cannot take such pictures.
    """

    def at(micro_batch: int) -> Need:
        return need(name, task, micro_batch, batch_size, on_cpu=on_cpu)

    *parts, largest = micro_batches(batch_size)
    if at(largest).peak_bytes <= budget_bytes:
        return at(largest)
    fitting = bisect_right(parts, budget_bytes, key=lambda micro_batch: at(micro_batch).peak_bytes)
    if fitting:
        return at(parts[fitting - 1])
    return min(map(at, (largest, *parts[:1])), key=lambda found: found.peak_bytes)
