"""Where a token is: rotations of queries and keys (RoPE), or a bias of the scores by offset.

Letters: b pictures, h heads, n tokens, e head_dim, q queries, k keys.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vixtui.models.config import StageConfig

_THETA = 10_000.0


def rotations(stage: StageConfig) -> Tensor:
    """Return cosine and sine for every channel pair of every token, (n, e/2, 2) float32.

    ``rotary`` follows Su et al. 2021 (section 3.2.2) with the raster index as position, as the
    paper does. ``rotary-2d`` turns half of the pairs by the row and half by the column, so that
    attention depends on the offset between two patches in both directions. A class token, the
    first, is not turned.
    """
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


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Rotate neighbouring channel pairs of (…, n, e) by the rotations (n, e/2, 2) of the tokens.

    A pair is a complex number, its rotation a product: one kernel, of which the backward pass needs
    the table alone. There are no complex numbers of 16 bits: these are rotated in float32.
    """
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    pairs = torch.view_as_complex(precise.unflatten(-1, (-1, 2)))  # (…, n, e/2)
    turned = pairs * torch.view_as_complex(table.to(precise.dtype))
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


class AttentionBias(nn.Module):
    """A learned number for each head and offset, added to the scores (LeViT, Graham et al. 2021).

    Offsets are absolute differences of rows and columns, so that mirrored offsets share a number.
    """

    index: Tensor

    def __init__(self, stage: StageConfig, queries: Tensor) -> None:
        super().__init__()
        keys = torch.arange(stage.rows * stage.columns)
        rows = (queries[:, None] // stage.columns - keys // stage.columns).abs()  # (q, k)
        columns = (queries[:, None] % stage.columns - keys % stage.columns).abs()
        self.register_buffer("index", rows * stage.columns + columns, persistent=False)
        self.weight = nn.Parameter(torch.zeros(stage.num_heads, stage.rows * stage.columns))

    def forward(self) -> Tensor:
        """Return (h, q, k), to be added to the scores."""
        return self.weight[:, self.index]


def _angles(position: Tensor, pairs: int) -> Tensor:
    frequencies = _THETA ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
    return position[:, None] * frequencies  # (n, pairs)
