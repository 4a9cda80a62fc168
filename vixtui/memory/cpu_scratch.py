"""What CPU kernels allocate inside themselves, where that is much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from vixtui.memory.linear import Linear, linear
from vixtui.memory.scratch import NONE, Scratch, is_depthwise

# Input and output of a convolution; gradient, input and its gradient on the way back.
_FORWARD_MAPS = 2
_MAPS = {torch.ops.aten.convolution: _FORWARD_MAPS, torch.ops.aten.convolution_backward: 3}
# For fewer pictures torch may not ask oneDNN (use_mkldnn): without taps on one thread, and with few
# of them for a picture of no more numbers than that.
_NO_TAPS_BATCH, _FEW_TAPS_BATCH = 16, 2
_MOST_TAPS_A_SIDE, _SMALL_PICTURE = 3, 20480


@dataclass(frozen=True, slots=True)
class _Copies:
    """What oneDNN copies for a convolution of so many pictures that torch leaves it to it.

    Args:
        size: of all copies.
        batch: so many pictures.
        fewer: bytes for fewer pictures; without taps, on several threads.
    """

    size: Linear
    batch: int = _NO_TAPS_BATCH
    fewer: int = 0

    def at(self, batch: int) -> int:
        return self.size.at(batch) if batch >= self.batch else self.fewer


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
    if weight.shape[2:].numel() > 1 or weight.dtype != torch.float32:
        output = result if maps == _FORWARD_MAPS else args[0]
        # Without oneDNN, what each output is computed from lies in a column of its own.
        columns = output.shape[2:].numel() * weight[0].numel() * weight.element_size()
        batch = _tapped_batch(image, weight)
        return Scratch(after=(_Copies(Linear(maps * _bytes(weight)), batch, fewer=columns),))
    # Without taps it does the same with input and output, or with the gradients of both.
    few = _bytes(weight)
    if maps == _FORWARD_MAPS:
        copies = _Copies(linear(_bytes(image))), _Copies(Linear(few), fewer=few)
        return Scratch(first=copies, before=(_Copies(linear(_bytes(result))),))
    of_image, of_gradient = (_Copies(linear(_bytes(one))) for one in (image, args[0]))
    of_weight = _Copies(Linear(few), fewer=few)
    return Scratch(
        first=(of_gradient, of_weight),
        passing=(of_image,),
        amid=(of_gradient, of_image),
        after=(of_weight,),
    )


def _tapped_batch(image: torch.Tensor, weight: torch.Tensor) -> int:
    """Return from how many pictures on oneDNN does a convolution with taps."""
    small = image[0].numel() <= _SMALL_PICTURE and max(weight.shape[2:]) <= _MOST_TAPS_A_SIDE
    return _FEW_TAPS_BATCH if small and weight.dtype == torch.float32 else 1


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _blocked_maps(maps: int, image: torch.Tensor) -> int:
    """oneDNN copies the maps of a depth-wise convolution into blocks of 16 channels."""
    channels = image.shape[1]
    padded = -(-channels // 16) * 16
    return maps * image.numel() // channels * padded * image.element_size()
