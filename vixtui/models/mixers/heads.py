"""Tokens to attention heads and back, shared by every attention mixer.

Letters: b pictures, n tokens, q queries, k keys, c channels in, d embed_dim, h heads, e head_dim,
(r, s) rows and columns of tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vixtui.models.config import StageConfig
from vixtui.models.convolution import convolve
from vixtui.models.positions import rotate_


def build_heads(
    stage: StageConfig, query_stride: int = 1, only_class_token: bool = False
) -> Heads | ConvHeads | StridedHeads:
    """Return the projections around an attention.

    Args:
        stage: of which tokens; `in_channels` is the width of the tokens if queries are thinned out.
        query_stride: every so-manieth row and column of tokens asks.
        only_class_token: no other token asks.
    """
    if only_class_token:
        return ClassTokenHeads(stage)
    if query_stride > 1:
        return StridedHeads(stage, query_stride)
    return ConvHeads(stage) if stage.model.projection == "conv" else Heads(stage)


class Heads(nn.Module):
    """Queries, keys and values by one linear map (ViT)."""

    def __init__(self, stage: StageConfig) -> None:
        super().__init__()
        self.num_heads = stage.num_heads
        self.to_qkv = nn.Linear(stage.embed_dim, 3 * stage.embed_dim, bias=False)
        self.merge = MergeHeads(stage)

    def split(self, x: Tensor, rotations: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """(b, n, d) → queries, keys, values, each (b, h, n, e); the first two rotated."""
        qkv = self.to_qkv(x)  # (b, n, 3·d)
        if rotations is not None:
            qkv = rotate_(qkv, rotations, width=qkv.shape[-1] // 3 * 2)
        q, k, v = (split_heads(part, self.num_heads) for part in qkv.chunk(3, -1))
        return q, k, v


class ClassTokenHeads(Heads):
    """Those of a block of which only the class token is read: no other token asks."""

    def split(self, x: Tensor, rotations: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """(b, n, d) → queries (b, h, 1, e), keys and values (b, h, n, e)."""
        d = x.shape[-1]
        to_q, to_kv = self.to_qkv.weight.split((d, 2 * d))
        q, kv = F.linear(x[:, :1], to_q), F.linear(x, to_kv)  # (b, 1, d), (b, n, 2·d)
        if rotations is not None:  # the class token is not turned
            kv = rotate_(kv, rotations, width=d)
        q, k, v = (split_heads(part, self.num_heads) for part in (q, *kv.chunk(2, -1)))
        return q, k, v


class ConvHeads(nn.Module):
    """A depth-wise 3×3 convolution before each of the three maps (CvT, Wu et al. 2021, equation 2).

    With `key_stride` keys and values are of a coarser grid than the queries.
    """

    def __init__(self, stage: StageConfig) -> None:
        super().__init__()
        d, stride = stage.embed_dim, stage.model.key_stride
        self.num_heads, self.grid = stage.num_heads, (stage.rows, stage.columns)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(d, d, 3, stride=step, padding=1, groups=d, bias=False)
            for step in (1, stride, stride)
        )
        self.maps = nn.ModuleList(nn.Linear(d, d, bias=False) for _ in range(3))
        self.merge = MergeHeads(stage)

    def split(self, x: Tensor, rotations: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """(b, n, d) → queries (b, h, n, e), keys and values (b, h, k, e)."""
        x = x.transpose(1, 2).unflatten(2, self.grid)  # (b, d, r, s), channels innermost
        q, k, v = (
            linear(convolve(x, convolution).flatten(2).transpose(1, 2))  # (b, n or k, d)
            for convolution, linear in zip(self.convolutions, self.maps, strict=True)
        )
        if rotations is not None:
            q, k = rotate_(q, rotations), rotate_(k, rotations)
        q, k, v = (split_heads(part, self.num_heads) for part in (q, k, v))
        return q, k, v


class StridedHeads(nn.Module):
    """Fewer queries than keys: the attention thins out its tokens (LeViT, Graham et al. 2021)."""

    queries: Tensor

    def __init__(self, stage: StageConfig, query_stride: int) -> None:
        super().__init__()
        self.num_heads = stage.num_heads
        self.to_q = nn.Linear(stage.in_channels, stage.embed_dim, bias=False)
        self.to_kv = nn.Linear(stage.in_channels, 2 * stage.embed_dim, bias=False)
        self.merge = MergeHeads(stage)
        self.register_buffer("queries", strided_tokens(stage, query_stride), persistent=False)

    def split(self, x: Tensor, rotations: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """(b, n, c) → queries (b, h, q, e), keys and values (b, h, n, e)."""
        q, kv = self.to_q(x[:, self.queries]), self.to_kv(x)  # (b, q, d), (b, n, 2·d)
        if rotations is not None:
            q = rotate_(q, rotations[self.queries])
            kv = rotate_(kv, rotations, width=kv.shape[-1] // 2)
        q, k, v = (split_heads(part, self.num_heads) for part in (q, *kv.chunk(2, -1)))
        return q, k, v


class MergeHeads(nn.Module):
    """The outputs of all heads, joined and mapped."""

    def __init__(self, stage: StageConfig) -> None:
        super().__init__()
        self.to_output = nn.Linear(stage.embed_dim, stage.embed_dim)
        self.dropout = nn.Dropout(stage.model.dropout)

    def forward(self, heads: Tensor) -> Tensor:
        """(b, h, n, e) → (b, n, d)."""
        output: Tensor = self.dropout(self.to_output(heads.transpose(1, 2).flatten(2)))
        return output


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(b, n, d) → (b, h, n, e), a view."""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def strided_tokens(stage: StageConfig, stride: int) -> Tensor:
    """Return the indices of every `stride`-th token of every `stride`-th row."""
    index = torch.arange(stage.rows * stage.columns).unflatten(0, (stage.rows, stage.columns))
    return index[::stride, ::stride].flatten()


def attend(
    q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0.0, bias: Tensor | None = None
) -> Tensor:
    """Return softmax(q kᵀ / √e + bias) v for (b, h, q, e), (b, h, k, e), (b, h, k, e).

    On a CPU it is computed in float32: the bfloat16 kernel's backward pass takes longer than the
    rest of a small model. The dtype of `v` is kept.
    """
    dtype = v.dtype
    if v.device.type == "cpu" and dtype == torch.bfloat16:
        q, k, v = q.float(), k.float(), v.float()
    with torch.autocast(v.device.type, enabled=False):
        bias = bias if bias is None else bias.to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
    return mixed.to(dtype)
