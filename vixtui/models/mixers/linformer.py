"""Linformer (Wang et al. 2020, equation 7): keys and values projected along the tokens.

softmax(q (E k)ᵀ / √e) (F v), with learned E and F of shape (k, n), shared by the heads. Since
E (x W) = (E x) W, whichever product is smaller comes first. Rotated keys come at full length.

Letters: b pictures, h heads, n tokens, d embed_dim, e head_dim, k projection rank.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vixtui.models.config import StageConfig
from vixtui.models.mixers.heads import MergeHeads, attend, split_heads
from vixtui.models.outline import filled
from vixtui.models.positions import rotate_


class Linformer(nn.Module):
    """Time and memory grow with n·k. The number of tokens is fixed."""

    def __init__(self, stage: StageConfig, only_class_token: bool = False) -> None:
        super().__init__()
        model, d = stage.model, stage.embed_dim
        self.num_heads, self.dropout = stage.num_heads, model.dropout
        width = stage.head_dim if model.one_kv_head else d
        self.to_q = nn.Linear(d, d, bias=False)
        self.to_k = nn.Linear(d, width, bias=False)
        self.to_v = None if model.share_kv else nn.Linear(d, width, bias=False)
        self.project_keys = _projection(stage)
        self.project_values = None if model.share_kv else _projection(stage)
        self.only_class_token = only_class_token
        self.merge = MergeHeads(stage)

    def forward(self, x: Tensor, rotations: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d), or (b, 1, d)."""
        q = self.to_q(x[:, :1] if self.only_class_token else x)  # (b, q, d)
        if rotations is None:
            k = self._projected(x, self.to_k, self.project_keys)  # (b, 1 or h, k, e)
        else:
            q = rotate_(q, rotations[: q.shape[1]])
            k = rotate_(self.to_k(x), rotations)
            k = self._heads_of(torch.bmm(self._along_tokens(self.project_keys, k), k))
        if self.to_v is None or self.project_values is None:
            v = k
        else:
            v = self._projected(x, self.to_v, self.project_values)
        k, v = (one.expand(-1, self.num_heads, -1, -1) for one in (k, v))  # (b, h, k, e)
        dropout = self.dropout if self.training else 0.0
        merged: Tensor = self.merge(attend(split_heads(q, self.num_heads), k, v, dropout=dropout))
        return merged

    def _projected(self, x: Tensor, linear: nn.Linear, projection: Tensor) -> Tensor:
        """(b, n, d) → (b, 1 or h, k, e): projected along the tokens and mapped."""
        rank, n = projection.shape
        d, width = linear.in_features, linear.out_features
        along_tokens = self._along_tokens(projection, x)
        if n * d * width + rank * n * width < rank * n * d + rank * d * width:
            return self._heads_of(torch.bmm(along_tokens, linear(x)))
        return self._heads_of(linear(torch.bmm(along_tokens, x)))

    def _along_tokens(self, projection: Tensor, x: Tensor) -> Tensor:
        """(k, n) → (b, k, n), the same for every picture of `x`, not copied."""
        return projection.to(x.dtype).expand(x.shape[0], -1, -1)

    def _heads_of(self, x: Tensor) -> Tensor:
        """(b, n, d) → (b, h, n, e), or (b, 1, n, e) of a map as wide as one head."""
        head_dim = self.to_q.out_features // self.num_heads
        return split_heads(x, x.shape[-1] // head_dim)


def _projection(stage: StageConfig) -> nn.Parameter:
    shape = stage.projection_rank, stage.num_tokens
    return nn.Parameter(filled(lambda: torch.randn(shape) / stage.num_tokens**0.5, *shape))
