"""What CPU kernels allocate inside themselves, where that is much."""

from __future__ import annotations

from typing import Any

import torch

from vixtui.memory.scratch import NONE, Scratch

# Input and output of a convolution; gradient, input and its gradient on the way back.
_BLOCKED_MAPS = {torch.ops.aten.convolution: 2, torch.ops.aten.convolution_backward: 3}


def scratch(func: Any, args: tuple[Any, ...], result: Any) -> Scratch:
    """Return the scratch of an operation, from the shapes of what it takes and returns.

    Args:
        func: an overload of an ATen operation.
        args: its arguments, tensors on any device.
        result: what it returned.
    """
    if func.overloadpacket in _BLOCKED_MAPS:
        return Scratch(after=_blocked_maps(func, args))
    return NONE


def _blocked_maps(func: Any, args: tuple[Any, ...]) -> tuple[int, ...]:
    """oneDNN copies the maps of a depth-wise convolution into blocks of 16 channels."""
    maps = _BLOCKED_MAPS[func.overloadpacket]
    image, weight = args[maps - 2 : maps]
    channels = image.shape[1]
    if weight.shape[1] != 1 or channels == 1:
        return ()
    padded = -(-channels // 16) * 16
    return (maps * image.numel() // channels * padded * image.element_size(),)
