"""Random changes that keep a picture's class: whole batches at once, every picture its own."""

from __future__ import annotations

import torch
from torch import Tensor

from vixtui.data.colour import recolour
from vixtui.data.operations import operate

_DRAWS = 12


def draw(count: int, generator: torch.Generator) -> Tensor:
    """Return the chance that `augment` needs: (count, draws) in [0, 1), whatever its settings."""
    return torch.rand((count, _DRAWS), generator=generator, device=generator.device)


def augment(
    images: Tensor,
    *,
    draws: Tensor,
    crop: float,
    horizontal_flip: bool,
    color_jitter: float,
    erase: float,
    trivial: float = 0.0,
) -> Tensor:
    """Shift, mirror, operate on, recolour and partly erase each picture of a batch.

    Each setting at 0 or False switches its part off; with all off the result is ``images / 255``.
    A picture's change follows from its row of `draws` alone, not from the pictures beside it.

    Args:
        images: uint8 (b, c, h, w).
        draws: from `draw`, a row a picture, on any device.
        crop: largest shift, as a fraction of the side; what comes in is the mirrored edge.
        horizontal_flip: mirror every second picture, by chance.
        color_jitter: largest relative change of brightness, contrast and saturation.
        erase: side of a square painted in the picture's mean colour, as a fraction of the shorter
            side; it may reach over the edge.

    Returns:
        float32 (b, c, h, w) in [0, 1].
    """
    draws = draws.to(images.device)
    shift_y, shift_x, flip, _, _, _, hole_y, hole_x = draws[:, :8].unbind(1)  # (b,) each
    if crop > 0 or horizontal_flip:
        mirrored = (flip < 0.5) & horizontal_flip
        images = _moved(images, shift_y, shift_x, mirrored, crop)
    x = images.to(torch.float32, memory_format=torch.contiguous_format)
    white = 255
    if trivial > 0 or color_jitter == 0:
        x, white = x.div_(255), 1
    if trivial > 0:
        chance, choice, strength, sign = draws[:, 8:].unbind(1)
        choice = torch.where(chance < trivial, choice, 1 - 2**-24)  # the last changes nothing
        x = operate(x, choice=choice, strength=strength, sign=sign)
    if color_jitter > 0:
        x = recolour(x, 1 + color_jitter * (2 * draws[:, 3:6] - 1), white)
    if erase > 0:
        _erase(x, hole_y, hole_x, round(erase * min(x.shape[2:])))
    return x


def _moved(images: Tensor, draw_y: Tensor, draw_x: Tensor, mirrored: Tensor, crop: float) -> Tensor:
    """Cut a window of the original size out of each reflection-padded picture, mirror some.

    Neither is made: each pixel is fetched from where it would come from, a third of the work.
    """
    height, width = images.shape[2:]
    rows = _window(height, round(crop * height), draw_y)  # (b, h)
    columns = _window(width, round(crop * width), draw_x)  # (b, w)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    place = (rows[:, :, None] * width + columns[:, None]).flatten(1)  # (b, h·w)
    place = place[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, place).view_as(images)


def _window(side: int, pad: int, draw: Tensor) -> Tensor:
    """Return (b, side): the source row, or column, of each in a drawn window of a padded picture.

    Padded rows are 2 1 | 0 1 2 …, bouncing as often as needed.
    """
    rows = (draw * (2 * pad + 1)).long()[:, None] + torch.arange(
        -pad, side - pad, device=draw.device
    )
    period = max(1, 2 * (side - 1))
    rows.remainder_(period)
    return torch.minimum(rows, period - rows)


def _erase(x: Tensor, draw_y: Tensor, draw_x: Tensor, side: int) -> None:
    """Paint a square around a random centre of each picture in its mean colour, in place."""
    height, width = x.shape[2:]
    pixels = x.view(*x.shape[:2], -1)  # (b, c, h·w)
    rows, columns = _stretch(height, draw_y, side), _stretch(width, draw_x, side)
    place = (rows[:, :, None] * width + columns[:, None]).flatten(1)  # (b, side²)
    place = place[:, None].expand(-1, x.shape[1], -1)
    pixels.scatter_(2, place, pixels.mean(2, keepdim=True).expand_as(place))


def _stretch(length: int, draw: Tensor, side: int) -> Tensor:
    """Return (b, side): positions around a centre; beyond an edge, the edge again."""
    start = (draw * length).long()[:, None] - side // 2
    return (start + torch.arange(side, device=draw.device)).clamp_(0, length - 1)
