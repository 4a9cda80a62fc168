"""How a training step is computed: what its memory and time depend on besides the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vixtui.models.config import Recompute

Backend = Literal["cpu", "cuda"]
StepPrecision = Literal["fp32", "bf16"]
EVALUATION_FACTOR: dict[Backend, int] = {"cpu": 1, "cuda": 4}
"""How many micro-batches the engine evaluates at once."""


@dataclass(frozen=True, slots=True)
class Execution:
    """A way to compute a step.

    Args:
        backend: whose kernels and allocator are used; every GPU counts as ``cuda``.
        precision: of the matrix products.
        recompute: what is computed again in the backward pass instead of kept.
    """

    backend: Backend
    precision: StepPrecision = "fp32"
    recompute: Recompute = "none"
