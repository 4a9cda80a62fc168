"""How much an operation of torch computes, and what kind it is: kinds differ in speed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

_aten: Any = torch.ops.aten

Kind = Literal["product", "convolution", "attention", "function", "other"]
"""`function` is what takes several steps of arithmetic a value: exponentials, GELU, norms."""


def kind(func: Any, args: tuple[Any, ...]) -> Kind:
    """Return the kind of an operation with these arguments; without taps it is a product."""
    packet = func.overloadpacket
    if packet in _WEIGHT_OF:
        taps = args[_WEIGHT_OF[packet]].shape[2:].numel()
        return "convolution" if taps > 1 else "product"
    if packet in _FUNCTIONS:
        return "function"
    if "attention" in packet.__name__:
        return "attention"
    return "product" if packet in flop_registry else "other"


def flops(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Return the floating-point operations of matrix products, convolutions and transforms."""
    packet = func.overloadpacket
    if packet in _OWN_FLOPS:
        return _OWN_FLOPS[packet](*args)
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=result))
    return 0


def _fft_flops(x: Tensor, dims: Iterable[int], *_: object) -> int:
    """Return 5 · n · log2 n a transform of length n, the usual count for complex input."""
    return sum(5 * x.numel() * max(1, (x.shape[dim] - 1).bit_length()) for dim in dims)


def _attention_flops(q: Tensor, k: Tensor, v: Tensor, *_: object) -> int:
    return int(sdpa_flop_count(q.shape, k.shape, v.shape))


def _attention_backward_flops(grad: Tensor, q: Tensor, k: Tensor, v: Tensor, *_: object) -> int:
    return int(sdpa_backward_flop_count(grad.shape, q.shape, k.shape, v.shape))


def _convolution_backward_flops(grad: Tensor, x: Tensor, weight: Tensor, *more: Any) -> int:
    """Return a product and a sum for each output and tap, once a gradient asked for."""
    transposed, asked_for = more[4], more[-1]
    outputs = (x if transposed else grad).numel()
    return 2 * outputs * weight[0].numel() * sum(asked_for[:2])


# What torch's own registry leaves out; of a convolution backward it forgets the groups.
_OWN_FLOPS: dict[Any, Callable[..., int]] = {
    _aten.convolution_backward: _convolution_backward_flops,
    _aten._fft_c2c: _fft_flops,
    _aten._fft_r2c: _fft_flops,
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
}
# The argument that holds the weight.
_WEIGHT_OF = {_aten.convolution: 1, _aten.convolution_backward: 2}
_FUNCTIONS: frozenset[Any] = frozenset(
    getattr(_aten, name)
    for name in (
        "exp", "exp_", "sin", "cos", "tanh", "sigmoid", "silu", "silu_backward", "pow",
        "gelu", "gelu_backward",
        "_softmax", "_softmax_backward_data", "_log_softmax", "_log_softmax_backward_data",
        "native_layer_norm", "native_layer_norm_backward",
        "native_group_norm", "native_group_norm_backward",
        "max_pool2d_with_indices", "max_pool2d_with_indices_backward",
    )
)  # fmt: skip
