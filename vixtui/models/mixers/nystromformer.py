"""Nyströmformer (Xiong et al. 2021): softmax attention through landmark tokens.

With landmarks q̃, k̃ (means of m segments of the tokens), attention is approximated as
softmax(q k̃ᵀ) · softmax(q̃ k̃ᵀ)⁺ · (softmax(q̃ kᵀ) v), multiplied from the right, so that no
n×n matrix exists, plus a depth-wise convolution of the values along the tokens.

Letters: b pictures, h heads, n tokens, e head_dim, m landmarks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vixtui.models.config import ModelConfig
from vixtui.models.mixers.heads import Heads, attend

_ITERATIONS = 6
_KERNEL = 33


class Nystromformer(nn.Module):
    """Time and memory grow with n·m. At most n landmarks are used."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = Heads(config)
        self.landmarks = min(config.landmarks, config.num_tokens)
        self.dropout = config.dropout
        self.residual = nn.Conv2d(
            config.num_heads,
            config.num_heads,
            (_KERNEL, 1),
            padding=(_KERNEL // 2, 0),
            groups=config.num_heads,
            bias=False,
        )

    def forward(self, x: Tensor, angles: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d)."""
        q, k, v = self.heads.split(x, angles)  # (b, h, n, e) each
        q_land, k_land = self._pool(q), self._pool(k)  # (b, h, m, e)
        dropout = self.dropout if self.training else 0.0
        context = attend(q_land, k, v, dropout)  # (b, h, m, e)
        with torch.autocast(x.device.type, enabled=False):
            kernel = _single_or_double(q_land) @ _single_or_double(k_land).transpose(-2, -1)
            kernel = (kernel / q.shape[-1] ** 0.5).softmax(-1)  # (b, h, m, m)
            context = pseudo_inverse(kernel) @ _single_or_double(context)
        out = attend(q, k_land, context.to(v.dtype), 0.0)  # (b, h, n, e)
        return self.heads.merge(out + self.residual(v))

    def _pool(self, tokens: Tensor) -> Tensor:
        """(b, h, n, e) → (b, h, m, e): means of m equal segments, overlapping if m ∤ n."""
        flat = tokens.flatten(0, 1).transpose(1, 2)  # (b·h, e, n)
        pooled = F.adaptive_avg_pool1d(flat, self.landmarks).transpose(1, 2)
        return pooled.unflatten(0, tokens.shape[:2])


def pseudo_inverse(matrix: Tensor) -> Tensor:
    """Return the Moore-Penrose inverse of row-stochastic matrices (…, m, m), approximately.

    Six steps of the third-order iteration of Razavi et al. 2014 (Nyströmformer, equation 11), from
    Z₀ = Aᵀ / (‖A‖₁ ‖A‖∞). Each matrix has its own scale; rows of a softmax sum to one, so ‖A‖∞ = 1.
    """
    norm_1 = matrix.sum(-2).amax(-1)[..., None, None]
    inverse = matrix.transpose(-2, -1) / norm_1
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    for _ in range(_ITERATIONS):
        product = matrix @ inverse
        inner = 15 * identity - product @ (7 * identity - product)
        inverse = 0.25 * inverse @ (13 * identity - product @ inner)
    return inverse


def _single_or_double(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
