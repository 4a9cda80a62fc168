"""Where a token is: rotations of queries and keys (RoPE), over raster order or rows and columns.

Letters: n tokens, e head_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vixtui.models.config import ModelConfig

_THETA = 10_000.0


def rotations(config: ModelConfig) -> Tensor:
    """Return the angle of every channel pair of every token, in radians, (n, e/2) float32.

    ``rotary`` follows Su et al. 2021 (section 3.2.2) with the raster index as position, as the
    paper does. ``rotary-2d`` turns half of the pairs by the row and half by the column, so that
    attention depends on the offset between two patches in both directions. A class token, the
    first, is not turned.
    """
    rows, columns = config.grid
    index = torch.arange(rows * columns)
    if config.positions == "rotary":
        angles = _angles(index, config.head_dim // 2)
    else:
        quarter = config.head_dim // 4
        angles = torch.cat(
            (_angles(index // columns, quarter), _angles(index % columns, quarter)), 1
        )
    if config.pooling == "class":
        angles = torch.cat((torch.zeros(1, angles.shape[1]), angles))
    return angles


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate neighbouring channel pairs of (b, heads, n, e) by (n, e/2) angles."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)  # (b, heads, n, e/2) each
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


def _angles(position: Tensor, pairs: int) -> Tensor:
    frequencies = _THETA ** (-torch.arange(pairs) / pairs)
    return position[:, None] * frequencies  # (n, pairs)
