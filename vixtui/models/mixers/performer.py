"""Performer (Choromanski et al. 2021): softmax attention by positive random features, FAVOR+.

exp(q·k/√e) = E[φ(q)·φ(k)] with φ(x) = exp(W x̂ − |x̂|²/2) and x̂ = x / e^¼ (lemma 1). Then attention
is φ(q) (φ(k)ᵀ v) divided by φ(q) (φ(k)ᵀ 1), linear in the number of tokens.

Letters: b pictures, h heads, n tokens, e head_dim, r features.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vixtui.models.config import StageConfig
from vixtui.models.mixers.heads import build_heads
from vixtui.models.outline import filled

_EPSILON = 1e-4


class Performer(nn.Module):
    """Time and memory grow with n·r. The random projection is saved with the weights.

    `keep_features` makes the backward pass faster and larger: it finds φ(q) and φ(k) instead of
    computing them again.
    """

    projection: Tensor

    def __init__(
        self, stage: StageConfig, query_stride: int = 1, only_class_token: bool = False
    ) -> None:
        super().__init__()
        self.heads = build_heads(stage, query_stride, only_class_token)
        self.dropout = nn.Dropout(stage.model.dropout)
        self.keep_features = False
        shape = stage.random_features, stage.head_dim
        self.register_buffer("projection", filled(lambda: orthogonal_features(*shape), *shape))

    def forward(self, x: Tensor, rotations: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d), or fewer tokens."""
        q, k, v = self.heads.split(x, rotations)  # (b, h, q, e), twice (b, h, n, e)
        with torch.autocast(x.device.type, enabled=False):
            out = _KernelAttention.apply(q, k, self.dropout(v), self.projection, self.keep_features)
        merged: Tensor = self.heads.merge(out)
        return merged


def redraw_features(model: nn.Module, generator: torch.Generator) -> None:
    """Draw the random directions of every Performer in `model` anew (FAVOR+, section 4.2)."""
    for module in model.modules():
        if isinstance(module, Performer):
            features, head_dim = module.projection.shape
            module.projection.copy_(orthogonal_features(features, head_dim, generator))


def orthogonal_features(
    features: int, head_dim: int, generator: torch.Generator | None = None
) -> Tensor:
    """Return (r, e) Gaussian directions, orthogonal in blocks of e (FAVOR+, section 2.4).

    The signs of a QR decomposition are a habit of the algorithm: with its own, half of the sphere
    is never hit, and the features do not converge to the softmax. A positive diagonal of R makes
    directions uniform (Mezzadri 2007).
    """
    blocks = []
    for start in range(0, features, head_dim):
        q, r = torch.linalg.qr(torch.randn(head_dim, head_dim, generator=generator))
        blocks.append((q * r.diagonal().sign()).T[: features - start])
    norms = torch.randn(features, head_dim, generator=generator).norm(dim=1)
    return norms[:, None] * torch.cat(blocks)


class _KernelAttention(torch.autograd.Function):
    """φ(q) (φ(k)ᵀ [v 1]), the last column dividing the others, φ = exp(logits − largest) + ε.

    Subtracted maxima cancel in the quotient, hence no gradient. A query's may be its own; the keys
    of a head must share one, of this picture alone. ε is never added to the features E: with
    φ = E + ε, φᵀ x = Eᵀ x + ε Σ x. On a CPU one head comes after the other, which keeps the
    features of one head in the cache; elsewhere, all at once.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, projection: Tensor, keep_features: bool
    ) -> Tensor:
        out, divisors = _empty(q, v.shape[-1]), _empty(q, 1)
        contexts: list[Tensor] = []
        features: list[Tensor] = []
        for part in _parts(q):
            phi_k, values = _key_features(k[:, part], projection), _with_ones(v[:, part])
            context = phi_k.mT @ values + _EPSILON * values.sum(-2, keepdim=True)  # (b, h, r, e+1)
            phi_q = _query_features(q[:, part], projection)
            mixed = phi_q @ context + _EPSILON * context.sum(-2, keepdim=True)  # (b, h, n, e+1)
            divisors[:, part] = mixed[..., -1:]
            out[:, part] = mixed[..., :-1] / mixed[..., -1:]
            contexts.append(context)
            features += [phi_q, phi_k] if keep_features else []
        ctx.save_for_backward(q, k, v, projection, out, divisors, *contexts, *features)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v, projection, out, divisors, *kept = ctx.saved_tensors
        to_q, to_k, to_v = _empty(q, q.shape[-1]), _empty(k, k.shape[-1]), _empty(k, v.shape[-1])
        parts = _parts(q)
        contexts, features = kept[: len(parts)], kept[len(parts) :]
        for index, (part, context) in enumerate(zip(parts, contexts, strict=True)):
            to_out = gradient[:, part] / divisors[:, part]
            to_divisor = -(to_out * out[:, part]).sum(-1, keepdim=True)
            to_mixed = torch.cat((to_out, to_divisor), -1).to(context.dtype)  # (b, h, n, e+1)

            phi_q = features[2 * index] if features else _query_features(q[:, part], projection)
            to_context = phi_q.mT @ to_mixed + _EPSILON * to_mixed.sum(-2, keepdim=True)
            to_logits = (to_mixed @ context.mT).mul_(phi_q)  # (b, h, n, r)
            scaled = _scaled(projection, to_logits.dtype)
            to_q[:, part] = to_logits @ scaled
            del phi_q, to_logits

            phi_k = features[2 * index + 1] if features else _key_features(k[:, part], projection)
            to_values = phi_k @ to_context[..., :-1]
            to_v[:, part] = to_values + _EPSILON * to_context[..., :-1].sum(-2, keepdim=True)
            to_logits = (_with_ones(v[:, part]) @ to_context.mT).mul_(phi_k)  # (b, h, n, r)
            to_norm = to_logits.sum(-1, keepdim=True) / k.shape[-1] ** 0.5
            to_k[:, part] = to_logits @ scaled - to_norm * k[:, part]
        return to_q, to_k, to_v, None, None


def _query_features(q: Tensor, projection: Tensor) -> Tensor:
    """(b, h, n, e) → exp(logits − largest), (b, h, n, r). |q̂|²/2 cancels in the quotient."""
    logits = _precise(q) @ _scaled(projection, _precise(q).dtype).T
    return logits.sub_(logits.amax(-1, keepdim=True)).exp_()


def _key_features(k: Tensor, projection: Tensor) -> Tensor:
    """(b, h, n, e) → exp(logits − |k̂|²/2 − largest), (b, h, n, r)."""
    precise = _precise(k)
    logits = precise @ _scaled(projection, precise.dtype).T
    logits -= precise.square().sum(-1, keepdim=True) / (2 * k.shape[-1] ** 0.5)
    return logits.sub_(logits.amax((-2, -1), keepdim=True)).exp_()


def _with_ones(v: Tensor) -> Tensor:
    """(b, h, n, e) → (b, h, n, e + 1)."""
    return F.pad(_precise(v), (0, 1), value=1.0)


def _scaled(projection: Tensor, dtype: torch.dtype) -> Tensor:
    return projection.to(dtype) * projection.shape[-1] ** -0.25


def _precise(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _parts(q: Tensor) -> list[slice]:
    """Return the heads to be worked on together."""
    heads = q.shape[1]
    return [slice(h, h + 1) for h in range(heads)] if q.device.type == "cpu" else [slice(heads)]


def _empty(like: Tensor, width: int) -> Tensor:
    """Return an empty (b, h, n, width) with the heads of a token side by side in memory."""
    b, heads, n, _ = like.shape
    return like.new_empty(b, n, heads, width).transpose(1, 2)
