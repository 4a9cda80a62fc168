"""Performer (Choromanski et al. 2021): softmax attention by positive random features, FAVOR+.

exp(q·k/√e) = E[φ(q)·φ(k)] with φ(x) = exp(W x̂ − |x̂|²/2) / √r and x̂ = x / e^¼ (lemma 1). Then
attention is φ(q) (φ(k)ᵀ v) divided by φ(q) (φ(k)ᵀ 1), linear in the number of tokens.

Letters: b pictures, h heads, n tokens, e head_dim, r features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vixtui.models.config import ModelConfig
from vixtui.models.mixers.heads import Heads

_EPSILON = 1e-4


class Performer(nn.Module):
    """Time and memory grow with n·r. The random projection is saved with the weights."""

    projection: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = Heads(config)
        self.dropout = nn.Dropout(config.dropout)
        features = config.random_features or max(
            1, int(config.head_dim * math.log(config.head_dim))
        )
        self.register_buffer("projection", orthogonal_features(features, config.head_dim))

    def forward(self, x: Tensor, angles: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d)."""
        q, k, v = self.heads.split(x, angles)  # (b, h, n, e) each
        with torch.autocast(x.device.type, enabled=False):
            precise = torch.promote_types(q.dtype, torch.float32)
            q, k, values = q.to(precise), k.to(precise), self.dropout(v.to(precise))
            phi_q = self._features(q, keys=False)  # (b, h, n, r)
            phi_k = self._features(k, keys=True)  # (b, h, n, r)
            context = phi_k.transpose(-2, -1) @ values  # (b, h, r, e)
            normaliser = phi_q @ phi_k.sum(-2)[..., None]  # (b, h, n, 1)
            out = (phi_q @ context) / normaliser
        return self.heads.merge(out.to(v.dtype))

    def _features(self, x: Tensor, *, keys: bool) -> Tensor:
        """(b, h, n, e) → (b, h, n, r). Subtracted maxima cancel in the quotient, hence no gradient.

        A query's may be its own; the keys of a head must share one, of this picture alone.
        """
        scaled = x * x.shape[-1] ** -0.25
        logits = scaled @ self.projection.to(x.dtype).T  # (b, h, n, r)
        norm = scaled.square().sum(-1, keepdim=True) / 2
        largest = (logits - norm if keys else logits).detach()
        largest = largest.amax((-2, -1) if keys else -1, keepdim=True)
        if keys:
            return (logits - norm - largest).exp() + _EPSILON
        return (logits - largest).exp() + _EPSILON


def orthogonal_features(features: int, head_dim: int) -> Tensor:
    """Return (r, e) Gaussian directions, orthogonal in blocks of e (FAVOR+, section 2.4)."""
    blocks = []
    for start in range(0, features, head_dim):
        q, _ = torch.linalg.qr(torch.randn(head_dim, head_dim))
        blocks.append(q.T[: features - start])
    norms = torch.randn(features, head_dim).norm(dim=1)
    return norms[:, None] * torch.cat(blocks)
