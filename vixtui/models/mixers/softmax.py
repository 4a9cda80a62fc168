"""Exact softmax attention (Vaswani et al. 2017, equation 1).

softmax(q kᵀ / √e) v, by PyTorch's fused kernel, which never stores the n×n matrix.
"""

from __future__ import annotations

from torch import Tensor, nn

from vixtui.models.config import ModelConfig
from vixtui.models.mixers.heads import Heads, attend


class Softmax(nn.Module):
    """Attention of every token to every token; time grows with n², memory with n."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = Heads(config)
        self.dropout = config.dropout

    def forward(self, x: Tensor, angles: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d)."""
        q, k, v = self.heads.split(x, angles)  # (b, h, n, e) each
        dropout = self.dropout if self.training else 0.0
        return self.heads.merge(attend(q, k, v, dropout))
