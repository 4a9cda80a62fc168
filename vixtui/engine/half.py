"""Whether this machine computes in half precision at all: some GPUs answer with NaN or zeros."""

from __future__ import annotations

from math import hypot, inf

import torch

from vixtui.engine.learner import Learner

# Between gradients in half and in full precision; rounding to bfloat16 leaves 0.98 and more.
_LEAST_COSINE = 0.5


def half_precision_works(
    learner: Learner, images: torch.Tensor, labels: torch.Tensor, precision: str
) -> bool:
    """Tell whether a few pictures have about the same gradient in half as in full precision.

    GPUs of the GeForce GTX 16 series and some Quadro T are known to answer with NaN or zeros.

    Args:
        learner: whose weights stay as they are.
        images, labels: (n, c, h, w) uint8 and (n,).
        precision: ``bf16``.
    """
    full, half = (_gradients(learner, images, labels, kind) for kind in ("fp32", precision))
    full_norm = _norm(full)
    if not 0 < full_norm < inf:
        return True  # nothing to compare with
    product = sum(
        float(torch.sum(one * other, dtype=torch.float64))
        for one, other in zip(full, half, strict=True)
    )
    return product >= _LEAST_COSINE * full_norm * _norm(half) > 0  # NaN is not


def _gradients(
    learner: Learner, images: torch.Tensor, labels: torch.Tensor, precision: str
) -> list[torch.Tensor]:
    learner.precision = precision
    learner.accumulate(images, labels, step=0)
    gradients = [
        parameter.grad for parameter in learner.model.parameters() if parameter.grad is not None
    ]
    learner.forget()
    return gradients


def _norm(tensors: list[torch.Tensor]) -> float:
    return hypot(*(float(torch.linalg.vector_norm(one, dtype=torch.float64)) for one in tensors))
