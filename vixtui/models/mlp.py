"""The MLP of a block: two linear maps with a GELU between.

Letters: b pictures, n tokens, d embed_dim, m hidden width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Mlp(nn.Module):
    """reduce(GELU(expand(x))) (ViT, Dosovitskiy et al. 2021, section 3.1)."""

    def __init__(self, embed_dim: int, ratio: float, dropout: float) -> None:
        super().__init__()
        hidden = round(embed_dim * ratio)
        self.expand = nn.Linear(embed_dim, hidden)
        self.reduce = nn.Linear(hidden, embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, d) → (b, n, d)."""
        hidden = self.expand(x)  # (b, n, m)
        if self.training and self.dropout.p > 0:
            output: Tensor = self.dropout(self.reduce(self.dropout(F.gelu(hidden))))
            return output
        activated: Tensor = _ReducedGelu.apply(hidden, self.reduce.weight, self.reduce.bias)
        return activated


class _ReducedGelu(torch.autograd.Function):
    """GELU(x) Wᵀ + b, of which x is kept but GELU(x) is not: a third of all an MLP would keep.

    GELU is cheap to compute again. Its gradient takes the place of the gradient it is computed
    from, which saves a CPU more time than that: fresh memory is slow.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(F.gelu(x), weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)  # (b·n, d)
        to_weight = rows.mT @ F.gelu(x).flatten(0, -2)
        to_x = gradient @ weight.to(gradient.dtype)
        torch.ops.aten.gelu_backward.grad_input(to_x, x, grad_input=to_x)
        return to_x, to_weight.to(weight.dtype), rows.sum(0).to(weight.dtype)
