"""Tokens to attention heads and back, shared by every attention mixer.

Letters: b pictures, n tokens, d embed_dim, h heads, e head_dim.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vixtui.models.config import ModelConfig
from vixtui.models.positions import rotate


class Heads(nn.Module):
    """The projections around an attention: queries, keys and values in, one output out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.to_qkv = nn.Linear(config.embed_dim, 3 * config.embed_dim, bias=False)
        self.to_output = nn.Linear(config.embed_dim, config.embed_dim)
        self.dropout = nn.Dropout(config.dropout)

    def split(self, x: Tensor, angles: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """(b, n, d) → queries, keys, values, each (b, h, n, e); the first two rotated."""
        qkv = self.to_qkv(x).unflatten(-1, (3, self.num_heads, -1))  # (b, n, 3, h, e)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (b, h, n, e) each
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        return q, k, v

    def merge(self, heads: Tensor) -> Tensor:
        """(b, h, n, e) → (b, n, d)."""
        output: Tensor = self.dropout(self.to_output(heads.transpose(1, 2).flatten(2)))
        return output


def attend(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """Return softmax(q kᵀ / √e) v for queries (b, h, n, e) and keys, values (b, h, k, e).

    On a CPU it is computed in float32: the bfloat16 kernel's backward pass takes longer than the
    rest of a small model. The dtype of `v` is kept.
    """
    if v.device.type == "cpu" and v.dtype == torch.bfloat16:
        with torch.autocast("cpu", enabled=False):
            mixed = F.scaled_dot_product_attention(
                q.float(), k.float(), v.float(), dropout_p=dropout
            )
        return mixed.to(v.dtype)
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
