"""Whether this machine computes in half precision at all: some GPUs answer with NaN or zeros."""

from __future__ import annotations

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
    gradients = []
    for kind in ("fp32", precision):
        learner.precision = kind
        learner.accumulate(images, labels, step=0)
        gradients.append(
            [
                parameter.grad.flatten().double()
                for parameter in learner.model.parameters()
                if parameter.grad is not None
            ]
        )
        learner.forget()
    full, half = (torch.cat(parts) for parts in gradients)
    if not bool(full.isfinite().all()) or not bool(full.any()):
        return True  # nothing to compare with
    return bool(torch.cosine_similarity(full, half, dim=0) >= _LEAST_COSINE)  # NaN is not
