"""MixUp and CutMix: pictures that are partly another, with labels to match.

Each picture's partner is the one before it in the batch, the first one's is the last; an epoch's
order is random, so partners are too. A stretch of a batch therefore needs one more picture than it
has, and any division of a batch into stretches gives the same pictures.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from vixtui.data.axes import by_axis

_DRAWS = 4


def draw_mix(count: int, generator: torch.Generator) -> Tensor:
    """Return the chance that `mix` needs: (count, draws) in [0, 1), whatever its settings."""
    return torch.rand((count, _DRAWS), generator=generator, device=generator.device)


def mix(
    images: Tensor, partners: Tensor, *, draws: Tensor, mixup: float, cutmix: float
) -> tuple[Tensor, Tensor]:
    """Blend pictures with their partners, or paste a box of the partner into them.

    MixUp (Zhang 2018) keeps a share drawn from Beta(1/2, 1/2) of a picture's values; CutMix (Yun
    2019) a share drawn evenly of its area, less where the box reaches over the edge.

    Args:
        images, partners: float (b, c, h, w).
        draws: from `draw_mix`, a row a picture, on any device.
        mixup, cutmix: probabilities, together at most 1; the rest stays as it is.

    Returns:
        the pictures, float (b, c, h, w), and how much of each is its own, float32 (b,).
    """
    draws = draws.to(images.device)
    kind, share = draws[:, :2].unbind(1)  # (b,) each
    height, width = images.shape[2:]
    cut = kind < cutmix
    side = torch.where(cut, (1 - share).sqrt(), 0.0)
    # (b, h) and (b, w)
    rows, columns = by_axis(partial(_within, side=side), height, width, draws[:, 2:])
    given = rows.sum(1) * columns.sum(1) / (height * width)
    theirs = rows[:, :, None] * columns[:, None]  # (b, h, w)
    if mixup > 0:
        # The arcsine distribution is Beta(1/2, 1/2), and its inverse has a closed form.
        blended = (share * (math.pi / 2)).cos().square()
        blended = torch.where((kind < cutmix + mixup) & ~cut, blended, 0.0)
        given = given + blended
        theirs += blended[:, None, None]
    # Where a weight is 0 or 1, this is exactly the one or the other.
    return torch.lerp(images, partners, theirs[:, None].to(images.dtype)), 1 - given


def _within(length: int, centre: Tensor, side: Tensor) -> Tensor:
    """Return (b, …, length): 1 where a position lies in the stretch `side` around `centre`, else 0.

    Both are fractions of `length`: centres (b, …) and sides (b,).
    """
    middle = torch.arange(length, device=centre.device) + 0.5
    distance = (middle - centre[..., None] * length).abs()
    return (distance < side.view(-1, *(1,) * centre.ndim) * (length / 2)).float()
