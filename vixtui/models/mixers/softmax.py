"""Exact softmax attention (Vaswani et al. 2017, equation 1).

softmax(q kᵀ / √e) v, by PyTorch's fused kernel, which never stores the n×n matrix; with a learned
bias of the scores, it does.
"""

from __future__ import annotations

from torch import Tensor, nn

from vixtui.models.config import StageConfig
from vixtui.models.mixers.heads import attend, build_heads, strided_tokens
from vixtui.models.positions import AttentionBias


class Softmax(nn.Module):
    """Attention of every token to every token; time grows with n², memory with n."""

    def __init__(
        self, stage: StageConfig, query_stride: int = 1, only_class_token: bool = False
    ) -> None:
        super().__init__()
        self.heads = build_heads(stage, query_stride, only_class_token)
        self.dropout = stage.model.dropout
        self.bias = (
            AttentionBias(stage, strided_tokens(stage, query_stride))
            if stage.model.positions == "attention-bias"
            else None
        )

    def forward(self, x: Tensor, rotations: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d), or fewer tokens."""
        q, k, v = self.heads.split(x, rotations)  # (b, h, q, e), twice (b, h, n, e)
        dropout = self.dropout if self.training else 0.0
        bias = None if self.bias is None else self.bias()  # (h, n, n)
        merged: Tensor = self.heads.merge(attend(q, k, v, dropout=dropout, bias=bias))
        return merged
