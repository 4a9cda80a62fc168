"""Nyströmformer (Xiong et al. 2021): softmax attention through landmark tokens.

With landmarks q̃, k̃ (means of m segments of the tokens), attention is approximated as
softmax(q k̃ᵀ) · softmax(q̃ k̃ᵀ)⁺ · (softmax(q̃ kᵀ) v), multiplied from the right, so that no
n×n and no n×m matrix exists, plus a depth-wise convolution of the values along the tokens.

Letters: b pictures, h heads, n tokens, e head_dim, m landmarks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vixtui.models.config import StageConfig
from vixtui.models.mixers.depthwise import convolve_tokens
from vixtui.models.mixers.heads import attend, build_heads, strided_tokens

_ITERATIONS = 6
_TAPS = 33


class Nystromformer(nn.Module):
    """Time and memory grow with n·m."""

    queries: Tensor | None

    def __init__(self, stage: StageConfig, query_stride: int = 1) -> None:
        super().__init__()
        self.heads = build_heads(stage, query_stride)
        self.landmarks, self.dropout = stage.landmarks, stage.model.dropout
        self.residual = nn.Parameter(torch.randn(stage.num_heads, _TAPS) / _TAPS**0.5)
        queries = strided_tokens(stage, query_stride) if query_stride > 1 else None
        self.register_buffer("queries", queries, persistent=False)

    def forward(self, x: Tensor, rotations: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d), or fewer tokens with a query stride."""
        q, k, v = self.heads.split(x, rotations)  # (b, h, n, e) each
        q_land, k_land = (segment_means(one, self.landmarks) for one in (q, k))  # (b, h, m, e)
        dropout = self.dropout if self.training else 0.0
        context = attend(q_land, k, v, dropout=dropout)  # (b, h, m, e)
        with torch.autocast(x.device.type, enabled=False):
            precise = torch.promote_types(q.dtype, torch.float32)
            scores = q_land.to(precise) @ k_land.to(precise).transpose(-2, -1)
            kernel = (scores / q.shape[-1] ** 0.5).softmax(-1)  # (b, h, m, m)
            context = pseudo_inverse(kernel) @ context.to(precise)  # (b, h, m, e)
        out = attend(q, k_land, context.to(v.dtype), dropout=dropout)  # (b, h, n, e)
        local = convolve_tokens(v, self.residual)
        if self.queries is not None:
            local = local[:, :, self.queries]
        merged: Tensor = self.heads.merge(out + local)
        return merged


def segment_means(tokens: Tensor, segments: int) -> Tensor:
    """(b, h, n, e) → (b, h, m, e): means of m runs of neighbours, the first n mod m of them longer.

    No token is left out, counted twice or joined by padding; n < m gives one landmark a token.
    """
    n = tokens.shape[2]
    shorter, longer = divmod(n, min(segments, n))
    if not longer:
        return tokens.unflatten(2, (-1, shorter)).mean(3)
    head, tail = tokens.split((longer * (shorter + 1), n - longer * (shorter + 1)), dim=2)
    means = head.unflatten(2, (-1, shorter + 1)).mean(3), tail.unflatten(2, (-1, shorter)).mean(3)
    return torch.cat(means, 2)


def pseudo_inverse(matrix: Tensor) -> Tensor:
    """Return the Moore-Penrose inverse of row-stochastic matrices (…, m, m), approximately.

    Six steps of the third-order iteration of Razavi et al. 2014 (Nyströmformer, equation 11),
    Z ← Z (13 − P (15 − P (7 − P))) / 4 with P = A Z, from Z₀ = Aᵀ / (‖A‖₁ ‖A‖∞). Each matrix has
    its own scale; rows of a softmax sum to one, so ‖A‖∞ = 1.
    """
    norm_1 = matrix.sum(-2).amax(-1)[..., None, None]
    inverse: Tensor = _Iteration.apply(matrix, matrix.transpose(-2, -1) / norm_1)
    return inverse


class _Iteration(torch.autograd.Function):
    """The six steps, of which only A and Z₀ are kept; the backward pass takes them again.

    With P = A Z, S = 7 − P, T = 15 − P S and U = 13 − P T a step is Z ← Z U / 4. Its gradient
    follows by the product rule, from the last factor to the first.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, start: Tensor) -> Tensor:
        ctx.save_for_backward(matrix, start)
        inverse = start
        for _ in range(_ITERATIONS):
            *_, u = _factors(matrix, inverse)
            inverse = inverse @ u / 4
        return inverse

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        matrix, inverse = ctx.saved_tensors
        steps = []
        for _ in range(_ITERATIONS):
            p, s, t, u = _factors(matrix, inverse)
            steps.append((inverse, p, s, t, u))
            inverse = inverse @ u / 4
        to_matrix = torch.zeros_like(matrix)
        for inverse, p, s, t, u in reversed(steps):
            to_u = inverse.mT @ gradient / 4
            to_t = -(p.mT @ to_u)
            to_s = -(p.mT @ to_t)
            to_p = -(to_u @ t.mT + to_t @ s.mT + to_s)
            to_matrix += to_p @ inverse.mT
            gradient = gradient @ u.mT / 4 + matrix.mT @ to_p
        return to_matrix, gradient


def _factors(matrix: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return P, S, T and U of a step."""
    p = matrix @ inverse
    s = -p
    s.diagonal(dim1=-2, dim2=-1).add_(7)
    t = -(p @ s)
    t.diagonal(dim1=-2, dim2=-1).add_(15)
    u = -(p @ t)
    u.diagonal(dim1=-2, dim2=-1).add_(13)
    return p, s, t, u
