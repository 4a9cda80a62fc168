"""What CPU kernels allocate inside themselves, where that is much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from vixtui.memory.scratch import NONE, Scratch, is_depthwise

# Input and output of a convolution; gradient, input and its gradient on the way back.
_MAPS = {torch.ops.aten.convolution: 2, torch.ops.aten.convolution_backward: 3}
_ONEDNN_BATCH = 16


@dataclass(frozen=True, slots=True)
class _WeightCopies:
    """Those of a convolution without taps, which oneDNN does for so many pictures (use_mkldnn).

    For fewer it does it on several threads alone, and keeps one.
    """

    copies: int
    bytes_each: int

    def at(self, batch: int) -> int:
        return self.bytes_each * (self.copies if batch >= _ONEDNN_BATCH else 1)


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
    copy = weight.numel() * weight.element_size()
    if weight.shape[2:].numel() == 1 and weight.dtype == torch.float32:
        return Scratch(after=(_WeightCopies(maps, copy),))
    return Scratch(after=(maps * copy,))


def _blocked_maps(maps: int, image: torch.Tensor) -> int:
    """oneDNN copies the maps of a depth-wise convolution into blocks of 16 channels."""
    channels = image.shape[1]
    padded = -(-channels // 16) * 16
    return maps * image.numel() // channels * padded * image.element_size()
