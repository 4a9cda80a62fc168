"""Linformer (Wang et al. 2020, equation 7): keys and values projected along the tokens.

softmax(q (E k)ᵀ / √e) (F v), with learned E and F of shape (k, n), shared by the heads.

Letters: b pictures, h heads, n tokens, e head_dim, k projection rank.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vixtui.models.config import ModelConfig
from vixtui.models.mixers.heads import Heads, attend


class Linformer(nn.Module):
    """Time and memory grow with n·k. At most n ranks are used; the number of tokens is fixed."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        tokens, rank = config.num_tokens, min(config.projection_rank, config.num_tokens)
        self.heads = Heads(config)
        self.dropout = config.dropout
        self.project_keys = nn.Parameter(torch.randn(rank, tokens) / tokens**0.5)
        self.project_values = nn.Parameter(torch.randn(rank, tokens) / tokens**0.5)

    def forward(self, x: Tensor, angles: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d)."""
        q, k, v = self.heads.split(x, angles)  # (b, h, n, e) each
        k = self.project_keys.to(k.dtype) @ k  # (b, h, k, e)
        v = self.project_values.to(v.dtype) @ v  # (b, h, k, e)
        dropout = self.dropout if self.training else 0.0
        return self.heads.merge(attend(q, k, v, dropout))
