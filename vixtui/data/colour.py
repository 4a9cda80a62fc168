"""What pictures have in common whose colours are changed: how bright they look, and one product."""

from __future__ import annotations

import torch
from torch import Tensor

# ITU-R BT.601, as Pillow's conversion to grey.
_LUMA = (0.299, 0.587, 0.114)


def recolour(x: Tensor, factors: Tensor, white: int = 1) -> Tensor:
    """Scale brightness, then distance from the mean grey, then distance from grey: one product.

    With luma weights w and mean grey m: y = s·z + (1-s)·w·z and z = c·b·x + (1-c)·b·m. Grey is a
    fixed point of the second step, hence y = c·b·(s·x + (1-s)·w·x) + (1-c)·b·m.

    Args:
        x: (b, c, h, w) in [0, white].
        factors: of brightness, contrast and saturation, (b, 3).
        white: becomes 1.

    Returns:
        float32 (b, c, h, w) in [0, 1].
    """
    brightness, contrast, saturation = factors[:, :, None, None].unbind(1)  # (b, 1, 1) each
    brightness = brightness / white
    scale = contrast * brightness
    pixels = x.flatten(2)  # (b, c, h·w)
    channels = x.shape[1]
    weights = x.new_tensor(_LUMA if channels == 3 else [1 / channels] * channels)
    mean_grey = (pixels.mean(2) @ weights)[:, None, None]
    mix = torch.lerp(weights, torch.eye(channels, device=x.device), saturation)
    mixed = torch.baddbmm((brightness - scale) * mean_grey, scale * mix, pixels)  # (b, c, h·w)
    return mixed.clamp_(0, 1).view_as(x)
