"""TrivialAugment: one random operation of random strength on each picture (Müller 2021).

Own code, since ``torchvision.transforms.v2`` draws one operation for a whole batch, and costs a
second and 170 MB to import. The operations are those of RandAugment, at its strengths; edges are
mirrored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vixtui.data.colour import recolour

_SHEAR, _SHIFT, _RADIANS, _FACTOR, _FEWEST_BITS = 0.3, 0.3, math.radians(30), 0.9, 4


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What was drawn for m pictures, each (m,).

    Args:
        kind: which of the operations that are done together.
        strength: in [0, 1).
        signed: in (-1, 1).
    """

    kind: Tensor
    strength: Tensor
    signed: Tensor

    def by_kind(self, kinds: int) -> Tensor:
        """Return (m, kinds): what was drawn where the kind is a picture's, else 0."""
        own = self.kind[:, None] == torch.arange(kinds, device=self.kind.device)
        return self.signed[:, None] * own


def operate(x: Tensor, *, choice: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Apply to each picture the operation that was drawn for it.

    Args:
        x: float32 (b, c, h, w) in [0, 1].
        choice, strength, sign: in [0, 1), (b,), on the same device.

    Returns:
        float32 (b, c, h, w) in [0, 1]; a picture's change follows from its own draws alone.
    """
    kinds = [kinds for kinds, _ in _CHANGES]
    number = (choice * (sum(kinds) + 1)).long()  # the last one does nothing
    signed = torch.where(sign < 0.5, -strength, strength)
    order = number.argsort()
    drawn = [values[order] for values in (number, strength, signed)]
    # The one time that a GPU is waited for.
    numbers = number.bincount(minlength=sum(kinds) + 1).tolist()
    result, first, start = x.clone(), 0, 0
    for several, change in _CHANGES:
        count = sum(numbers[first : first + several])
        if count:
            number, strength, signed = (values[start : start + count] for values in drawn)
            chosen = order[start : start + count]
            changed = change(x.index_select(0, chosen), _Drawn(number - first, strength, signed))
            result.index_copy_(0, chosen, changed.clamp_(0, 1))
        first, start = first + several, start + count
    return result


def _moved(x: Tensor, drawn: _Drawn) -> Tensor:
    """Slant (0 and 1), shift (2 and 3) or turn (4) each picture."""
    height, width = x.shape[2:]
    slant_x, slant_y, shift_x, shift_y, turn = drawn.by_kind(5).unbind(1)
    sin, cos = (_RADIANS * turn).sin(), (_RADIANS * turn).cos()
    # Both sides of the grid that is sampled have length 2, whatever the picture's shape.
    across = cos, (_SHEAR * slant_x - sin) * (height / width), 2 * _SHIFT * shift_x
    down = (_SHEAR * slant_y + sin) * (width / height), cos, 2 * _SHIFT * shift_y
    by_x, by_y, fixed = torch.stack([*across, *down], 1).view(-1, 2, 3, 1, 1).unbind(2)
    # As of `affine_grid`, without its product; in planes, which are also sampled faster.
    where = by_x * _middles(width, x.device) + (by_y * _middles(height, x.device)[:, None] + fixed)
    return F.grid_sample(
        x, where.permute(0, 2, 3, 1), padding_mode="reflection", align_corners=False
    )


def _middles(length: int, device: torch.device) -> Tensor:
    """Return where the middles of pixels are on a side from -1 to 1, (length,)."""
    return (2 * torch.arange(length, device=device) + 1) / length - 1


def _coloured(x: Tensor, drawn: _Drawn) -> Tensor:
    """Change brightness (0), contrast (1) or saturation (2) of each picture."""
    return recolour(x, 1 + _FACTOR * drawn.by_kind(3))


def _sharpness(x: Tensor, drawn: _Drawn) -> Tensor:
    blurred = _sums(x).div_(_sums(torch.ones_like(x[:1, :1])))
    return torch.lerp(blurred, x, 1 + _FACTOR * _wide(drawn.signed))


def _sums(x: Tensor) -> Tensor:
    """Add up each pixel and its neighbours inside the picture; a quarter of `avg_pool2d`'s time."""
    for axis in (2, 3):
        others = x.shape[axis] - 1
        total = x.clone()
        total.narrow(axis, 0, others).add_(x.narrow(axis, 1, others))
        total.narrow(axis, 1, others).add_(x.narrow(axis, 0, others))
        x = total
    return x


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _posterize(x: Tensor, drawn: _Drawn) -> Tensor:
    levels = 2 ** (8 - (_wide(drawn.strength) * (8 - _FEWEST_BITS + 1)).floor())
    return (x * 255 / 256 * levels).floor() / levels * (256 / 255)


def _solarize(x: Tensor, drawn: _Drawn) -> Tensor:
    return torch.where(x >= 1 - _wide(drawn.strength), 1 - x, x)


def _autocontrast(x: Tensor, _: _Drawn) -> Tensor:
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return torch.where(high > low, (x - low) / (high - low).clamp_min(1 / 255), x)


def _equalize(x: Tensor, _: _Drawn) -> Tensor:
    """Give each value the share of the channel's pixels below it."""
    pixels = (x * 255).round().long().flatten(2)  # (m, c, h·w)
    histogram = torch.zeros(*pixels.shape[:2], 256, device=x.device)
    histogram.scatter_add_(2, pixels, torch.ones_like(pixels, dtype=torch.float32))
    below = histogram.cumsum(2) - histogram
    # The highest value present becomes white; a channel of one value stays.
    most = below.gather(2, pixels.amax(2, keepdim=True))
    spread = (below / most.clamp_min(1)).gather(2, pixels).view_as(x)
    return torch.where(most.unsqueeze(3) > 0, spread, x)


# How many operations each does, in the order of their numbers.
_CHANGES: tuple[tuple[int, Callable[[Tensor, _Drawn], Tensor]], ...] = (
    (5, _moved), (3, _coloured), (1, _sharpness), (1, _posterize), (1, _solarize),
    (1, _autocontrast), (1, _equalize),
)  # fmt: skip
