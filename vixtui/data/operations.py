"""TrivialAugment: one random operation of random strength on each picture (Müller 2021).

Own code, since ``torchvision.transforms.v2`` draws one operation for a whole batch, and costs a
second and 170 MB to import. The operations are those of RandAugment, at its strengths; edges are
mirrored.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

_SHEAR, _SHIFT, _DEGREES, _FACTOR, _FEWEST_BITS = 0.3, 0.3, 30.0, 0.9, 4
_MOVES = 5
# ITU-R BT.601, as Pillow's conversion to grey.
_LUMA = (0.299, 0.587, 0.114)


def operate(x: Tensor, *, choice: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Apply to each picture the operation that was drawn for it.

    Args:
        x: float32 (b, c, h, w) in [0, 1].
        choice, strength, sign: in [0, 1), (b,), on the same device.

    Returns:
        float32 (b, c, h, w) in [0, 1]; a picture's change follows from its own draws alone.
    """
    signed = torch.where(sign < 0.5, -strength, strength)
    number = (choice * (_MOVES + len(_RECOLOURINGS) + 1)).long()  # the last one does nothing
    result = x.clone()
    moved = (number < _MOVES).nonzero()[:, 0]
    if len(moved):
        result[moved] = _moved(x[moved], number[moved], signed[moved])
    for index, recolour in enumerate(_RECOLOURINGS, start=_MOVES):
        chosen = (number == index).nonzero()[:, 0]
        if len(chosen):
            amounts = (amount[chosen].view(-1, 1, 1, 1) for amount in (strength, signed))
            result[chosen] = recolour(x[chosen], *amounts).clamp_(0, 1)
    return result


def _moved(x: Tensor, number: Tensor, amount: Tensor) -> Tensor:
    """Slant (0 and 1), shift (2 and 3) or turn (4) each picture."""
    height, width = x.shape[2:]
    slant_x, slant_y, shift_x, shift_y, turn = (
        torch.where(number == index, most * amount, 0.0)
        for index, most in enumerate((_SHEAR, _SHEAR, _SHIFT, _SHIFT, math.radians(_DEGREES)))
    )
    # Both sides of the grid that is sampled have length 2, whatever the picture's shape.
    across = torch.stack([turn.cos(), (slant_x - turn.sin()) * (height / width), 2 * shift_x], 1)
    down = torch.stack([(slant_y + turn.sin()) * (width / height), turn.cos(), 2 * shift_y], 1)
    where = F.affine_grid(torch.stack([across, down], 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, where, padding_mode="reflection", align_corners=False)


def luma(x: Tensor) -> Tensor:
    """Return the weight of each channel of (b, c, h, w) pictures in their grey, (c,)."""
    channels = x.shape[1]
    return x.new_tensor(_LUMA if channels == 3 else [1 / channels] * channels)


def _grey(x: Tensor) -> Tensor:
    return (x * luma(x).view(1, -1, 1, 1)).sum(1, keepdim=True)


def _brightness(x: Tensor, _: Tensor, signed: Tensor) -> Tensor:
    return x * (1 + _FACTOR * signed)


def _contrast(x: Tensor, _: Tensor, signed: Tensor) -> Tensor:
    mean = _grey(x).mean((2, 3), keepdim=True)
    return mean + (1 + _FACTOR * signed) * (x - mean)


def _saturation(x: Tensor, _: Tensor, signed: Tensor) -> Tensor:
    grey = _grey(x)
    return grey + (1 + _FACTOR * signed) * (x - grey)


def _sharpness(x: Tensor, _: Tensor, signed: Tensor) -> Tensor:
    blurred = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    return blurred + (1 + _FACTOR * signed) * (x - blurred)


def _posterize(x: Tensor, strength: Tensor, _: Tensor) -> Tensor:
    levels = 2 ** (8 - (strength * (8 - _FEWEST_BITS + 1)).floor())
    return (x * 255 / 256 * levels).floor() / levels * (256 / 255)


def _solarize(x: Tensor, strength: Tensor, _: Tensor) -> Tensor:
    return torch.where(x >= 1 - strength, 1 - x, x)


def _autocontrast(x: Tensor, _: Tensor, __: Tensor) -> Tensor:
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return torch.where(high > low, (x - low) / (high - low).clamp_min(1 / 255), x)


def _equalize(x: Tensor, _: Tensor, __: Tensor) -> Tensor:
    """Give each value the share of the channel's pixels below it."""
    pixels = (x * 255).round().long().flatten(2)  # (m, c, h·w)
    histogram = torch.zeros(*pixels.shape[:2], 256, device=x.device)
    histogram.scatter_add_(2, pixels, torch.ones_like(pixels, dtype=torch.float32))
    below = histogram.cumsum(2) - histogram
    # The highest value present becomes white; a channel of one value stays.
    most = below.gather(2, pixels.amax(2, keepdim=True))
    spread = (below / most.clamp_min(1)).gather(2, pixels).view_as(x)
    return torch.where(most.unsqueeze(3) > 0, spread, x)


_RECOLOURINGS: tuple[Callable[[Tensor, Tensor, Tensor], Tensor], ...] = (
    _brightness, _contrast, _saturation, _sharpness, _posterize, _solarize, _autocontrast,
    _equalize,
)  # fmt: skip
