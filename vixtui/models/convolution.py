"""Convolutions of small maps.

Letters: b pictures, c channels in, d channels out, (h, w) before, (rows, columns) after.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def convolve(features: Tensor, convolution: nn.Module) -> Tensor:
    """(b, c, h, w) → (b, d, rows, columns), on a CPU in float32.

    Where the map is smaller than the kernel and the stride is not 1, the bfloat16 kernel of torch
    2.14 gets the gradient of the weight wrong, or not even finite.
    """
    if features.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        convolved: Tensor = convolution(features)
        return convolved
    with torch.autocast("cpu", enabled=False):
        precise: Tensor = convolution(features.float())
    return precise.to(features.dtype)
