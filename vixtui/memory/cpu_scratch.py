"""What CPU kernels allocate inside themselves, where that is much."""

from __future__ import annotations

from typing import Any

import torch

from vixtui.memory.scratch import NONE, Scratch, is_depthwise

# Input and output of a convolution; gradient, input and its gradient on the way back.
_MAPS = {torch.ops.aten.convolution: 2, torch.ops.aten.convolution_backward: 3}


def scratch(func: Any, args: tuple[Any, ...], result: Any) -> Scratch:
    """Return the scratch of an operation, from the shapes of what it takes and returns.

    Args:
        func: an overload of an ATen operation.
        args: its arguments, tensors on any device.
        result: what it returned.
    """
    maps = _MAPS.get(func.overloadpacket)
    if maps is None:
        return NONE
    image, weight = args[maps - 2 : maps]
    if is_depthwise(image, weight):
        return Scratch(after=(_blocked_maps(maps, image),))
    # oneDNN keeps as many copies of a dense convolution's weights, in another order.
    return Scratch(after=(maps * weight.numel() * weight.element_size(),))


def _blocked_maps(maps: int, image: torch.Tensor) -> int:
    """oneDNN copies the maps of a depth-wise convolution into blocks of 16 channels."""
    channels = image.shape[1]
    padded = -(-channels // 16) * 16
    return maps * image.numel() // channels * padded * image.element_size()
