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
from vixtui.models.outline import filled

_ITERATIONS = 6
_TAPS = 33


class Nystromformer(nn.Module):
    """Time and memory grow with n·m."""

    queries: Tensor | None

    def __init__(
        self, stage: StageConfig, query_stride: int = 1, only_class_token: bool = False
    ) -> None:
        super().__init__()
        self.heads = build_heads(stage, query_stride)
        self.landmarks, self.dropout = stage.landmarks, stage.model.dropout
        self.only_class_token = only_class_token
        shape = stage.num_heads, _TAPS
        taps = filled(lambda: torch.randn(shape) / _TAPS**0.5, *shape)
        self.residual = nn.Parameter(taps)
        queries = strided_tokens(stage, query_stride) if query_stride > 1 else None
        self.register_buffer("queries", queries, persistent=False)

    def forward(self, x: Tensor, rotations: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d), or fewer tokens."""
        q, k, v = self.heads.split(x, rotations)  # (b, h, n, e) each
        landmarks = min(self.landmarks, q.shape[2])
        q_land, k_land = (segment_means(one, landmarks) for one in (q, k))  # (b, h, m, e)
        dropout = self.dropout if self.training else 0.0
        context = attend(q_land, k, v, dropout=dropout)  # (b, h, m, e)
        with torch.autocast(x.device.type, enabled=False):
            precise = torch.promote_types(q.dtype, torch.float32)
            scores = q_land.to(precise) @ k_land.to(precise).transpose(-2, -1)
            kernel = (scores / q.shape[-1] ** 0.5).softmax(-1)  # (b, h, m, m)
            context = pseudo_inverse(kernel) @ context.to(precise)  # (b, h, m, e)
        if self.only_class_token:  # only now: landmarks are means of all queries
            q = q[:, :, :1]
        out = attend(q, k_land, context.to(v.dtype), dropout=dropout)  # (b, h, q, e)
        local = self._convolved(v)
        merged: Tensor = self.heads.merge(out + local)
        return merged

    def _convolved(self, v: Tensor) -> Tensor:
        """(b, h, n, e) → (b, h, q, e)."""
        if self.only_class_token:  # nothing is before it
            taps = self.residual[:, None, _TAPS // 2 :].to(v.dtype)  # (h, 1, (t + 1) / 2)
            return taps[..., : v.shape[2]] @ v[:, :, : taps.shape[2]]
        convolved = convolve_tokens(v, self.residual)
        return convolved if self.queries is None else convolved[:, :, self.queries]


def segment_means(tokens: Tensor, segments: int) -> Tensor:
    """(b, h, n, e) → (b, h, m, e): means of m runs of neighbours, the first n mod m of them longer.

    No token is left out, counted twice or joined by padding.
    """
    n = tokens.shape[2]
    shorter, longer = divmod(n, segments)
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
    start = matrix.mT / norm_1
    inverse: Tensor = _Iteration.apply(matrix.flatten(0, -3), start.flatten(0, -3))
    return inverse.view_as(matrix)


class _Iteration(torch.autograd.Function):
    """The six steps, of which only A and Z₀ are kept; the backward pass takes them again.

    Multiplied out, a step is P = A Z, R = 7 P − P P, T = 15 P − P R, Z ← 13/4 Z − 1/4 Z T: products
    and sums of one kind, one kernel each. Its gradient follows by the product rule, from T to A.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, start: Tensor) -> Tensor:
        ctx.save_for_backward(a, start)
        z = start
        for _ in range(_ITERATIONS):
            *_, t = _factors(a, z)
            z = torch.baddbmm(z, z, t, beta=13 / 4, alpha=-1 / 4)
        return z

    @staticmethod
    def backward(ctx: Any, to_z: Tensor) -> tuple[Tensor, Tensor]:
        a, z = ctx.saved_tensors
        steps = []
        for _ in range(_ITERATIONS):
            p, r, t = _factors(a, z)
            steps.append((z, p, r, t))
            z = torch.baddbmm(z, z, t, beta=13 / 4, alpha=-1 / 4)
        to_a = torch.zeros_like(a)
        for z, p, r, t in reversed(steps):
            to_t = torch.bmm(z.mT, to_z).mul_(-1 / 4)
            to_r = torch.bmm(p.mT, to_t).neg_()
            to_p = torch.baddbmm(to_t, to_t, r.mT, beta=15, alpha=-1)
            to_p.add_(to_r, alpha=7).baddbmm_(to_r, p.mT, alpha=-1).baddbmm_(p.mT, to_r, alpha=-1)
            to_a.baddbmm_(to_p, z.mT)
            to_z = torch.baddbmm(to_z, to_z, t.mT, beta=13 / 4, alpha=-1 / 4)
            to_z.baddbmm_(a.mT, to_p)
        return to_a, to_z


def _factors(a: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return P, R and T of a step."""
    p = torch.bmm(a, z)
    r = torch.baddbmm(p, p, p, beta=7, alpha=-1)
    return p, r, torch.baddbmm(p, p, r, beta=15, alpha=-1)
