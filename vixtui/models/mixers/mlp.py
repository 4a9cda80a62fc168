"""MLP-Mixer (Tolstikhin et al. 2021, equation 1): a perceptron across the tokens."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vixtui.models.config import ModelConfig


class TokenMlp(nn.Module):
    """Two layers along n with a GELU between; weights grow with n²."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = max(1, round(config.num_tokens * config.mlp_ratio))
        self.expand = nn.Linear(config.num_tokens, hidden)
        self.reduce = nn.Linear(hidden, config.num_tokens)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, angles: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d)."""
        hidden = self.dropout(F.gelu(self.expand(x.transpose(1, 2))))  # (b, d, hidden)
        mixed: Tensor = self.dropout(self.reduce(hidden)).transpose(1, 2)
        return mixed
