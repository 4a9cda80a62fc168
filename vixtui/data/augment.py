"""Random changes that keep a picture's class: whole batches at once, every picture its own."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from vixtui.data.axes import by_axis
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
    if crop > 0 or horizontal_flip:
        mirrored = (draws[:, 2] < 0.5) & horizontal_flip
        images = _moved(images, draws[:, :2], mirrored, crop)
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
        _erase(x, draws[:, 6:8], round(erase * min(x.shape[2:])))
    return x


def _moved(images: Tensor, shifts: Tensor, mirrored: Tensor, crop: float) -> Tensor:
    """Cut a window of the original size out of each reflection-padded picture, mirror some.

    Neither is made: each pixel is fetched from where it would come from, a third of the work.
    """
    height, width = images.shape[2:]
    rows, columns = by_axis(partial(_window, crop=crop), height, width, shifts)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    place = _crossings(rows, columns, images)
    return images.flatten(2).gather(2, place).view_as(images)


def _window(side: int, draw: Tensor, crop: float) -> Tensor:
    """Return (…, side): where the rows, or columns, of a drawn window come from, for draws (…).

    The window is one of a padded picture, whose rows are 2 1 | 0 1 2 … | …, bouncing as often as
    needed.
    """
    pad, period = round(crop * side), max(1, 2 * (side - 1))
    first = (draw * (2 * pad + 1)).long()[..., None]
    rows = (first + torch.arange(-pad, side - pad, device=draw.device)).remainder_(period)
    return torch.minimum(rows, period - rows)


def _erase(x: Tensor, draws: Tensor, side: int) -> None:
    """Paint a square around a random centre of each picture in its mean colour, in place."""
    height, width = x.shape[2:]
    pixels = x.view(*x.shape[:2], -1)  # (b, c, h·w)
    rows, columns = by_axis(partial(_stretch, side=side), height, width, draws)  # (b, side) each
    place = _crossings(rows, columns, x)
    pixels.scatter_(2, place, pixels.mean(2, keepdim=True).expand_as(place))


def _stretch(length: int, draw: Tensor, side: int) -> Tensor:
    """Return (…, side): positions around a centre; beyond an edge, the edge again."""
    start = (draw * length).long()[..., None] - side // 2
    return (start + torch.arange(side, device=draw.device)).clamp_(0, length - 1)


def _crossings(rows: Tensor, columns: Tensor, images: Tensor) -> Tensor:
    """Return (b, c, m·n): where rows (b, m) meet columns (b, n) among the pixels of `images`."""
    channels, _, width = images.shape[1:]
    place = (rows[:, :, None] * width + columns[:, None]).flatten(1)
    return place[:, None].expand(-1, channels, -1)
