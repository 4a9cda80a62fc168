"""Where a token is: rotations of queries and keys (RoPE), or a bias of the scores by offset.

Letters: b pictures, h heads, n tokens, e head_dim, q queries, k keys.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vixtui.models.config import StageConfig
from vixtui.models.outline import filled

_THETA = 10_000.0


def rotations(stage: StageConfig) -> Tensor:
    """Return cosine and sine for every channel pair of every token, (n, e/2, 2) float32.

    ``rotary`` follows Su et al. 2021 (section 3.2.2) with the raster index as position, as the
    paper does. ``rotary-2d`` turns half of the pairs by the row and half by the column, so that
    attention depends on the offset between two patches in both directions. A class token, the
    first, is not turned.
    """
    return filled(lambda: _table(stage), stage.num_tokens, stage.head_dim // 2, 2)


def _table(stage: StageConfig) -> Tensor:
    index = torch.arange(stage.rows * stage.columns)
    if stage.model.positions == "rotary":
        angles = _angles(index, stage.head_dim // 2)
    else:
        quarter = stage.head_dim // 4
        by_row = _angles(index // stage.columns, quarter)
        by_column = _angles(index % stage.columns, quarter)
        angles = torch.cat((by_row, by_column), 1)  # (n, e/2)
    if stage.class_token:
        angles = torch.cat((torch.zeros(1, angles.shape[1]), angles))
    return torch.stack((angles.cos(), angles.sin()), -1).float()


def rotate_(x: Tensor, table: Tensor, width: int | None = None) -> Tensor:
    """Rotate neighbouring pairs of the first `width` channels of (b, n, c), in place, and return x.

    Args:
        x: projections of tokens, heads side by side, that nothing else needs as they were.
        table: rotations (n, e/2, 2) of the tokens, the same for every head.
        width: channels to rotate, a multiple of e; all if None.
    """
    width = x.shape[-1] if width is None else width
    if torch.compiler.is_compiling():  # compilers do without in-place tricks, and exports must
        return torch.cat((_rotated(x[..., :width], table), x[..., width:]), -1)
    rotated: Tensor = _Rotation.apply(x, table, width)
    return rotated


class _Rotation(torch.autograd.Function):
    """A pair is a complex number, its rotation a product, its gradient turns back by as much."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, width: int) -> Tensor:
        ctx.save_for_backward(table)
        ctx.width = width
        ctx.mark_dirty(x)
        part = x[..., :width]
        if x.dtype in (torch.float32, torch.float64):
            _pairs(part, table).mul_(_complex(table, x.dtype))
        else:
            part.copy_(_rotated(part, table))
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (table,) = ctx.saved_tensors
        turned = _rotated(gradient[..., : ctx.width], table * table.new_tensor([1, -1]))
        rest = gradient[..., ctx.width :]
        return torch.cat((turned, rest), -1) if rest.shape[-1] else turned, None, None


def _rotated(x: Tensor, table: Tensor) -> Tensor:
    """(b, n, c) → (b, n, c). There are no complex numbers of 16 bits: float32 stands in."""
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    if precise.stride(-1) != 1:  # a gradient that is the same for all channels
        precise = precise.contiguous()
    turned = _pairs(precise, table) * _complex(table, precise.dtype)
    return torch.view_as_real(turned).flatten(-3).to(x.dtype)


def _pairs(x: Tensor, table: Tensor) -> Tensor:
    """(b, n, c) → complex (b, n, c/e, e/2), a view."""
    return torch.view_as_complex(x.unflatten(-1, (-1, table.shape[1], 2)))


def _complex(table: Tensor, dtype: torch.dtype) -> Tensor:
    """(n, e/2, 2) → complex (n, 1, e/2)."""
    return torch.view_as_complex(table.to(dtype))[:, None]


class AttentionBias(nn.Module):
    """A learned number for each head and offset, added to the scores (LeViT, Graham et al. 2021).

    Offsets are absolute differences of rows and columns, so that mirrored offsets share a number.
    """

    index: Tensor

    def __init__(self, stage: StageConfig, queries: Tensor) -> None:
        super().__init__()
        tokens = stage.rows * stage.columns
        index = filled(
            lambda: _offsets(queries, torch.arange(tokens), stage.columns),
            *(len(queries), tokens),
            dtype=torch.int64,
        )
        self.register_buffer("index", index, persistent=False)
        self.weight = nn.Parameter(torch.zeros(stage.num_heads, tokens))

    def forward(self) -> Tensor:
        """Return (h, q, k), to be added to the scores."""
        return self.weight[:, self.index]


def _offsets(queries: Tensor, keys: Tensor, columns: int) -> Tensor:
    """Return a number for each pair's offset, (q, k), from raster indices on so many columns."""
    between_rows = (queries[:, None] // columns - keys // columns).abs()
    between_columns = (queries[:, None] % columns - keys % columns).abs()
    return between_rows * columns + between_columns


def _angles(position: Tensor, pairs: int) -> Tensor:
    frequencies = _THETA ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
    return position[:, None] * frequencies  # (n, pairs)
