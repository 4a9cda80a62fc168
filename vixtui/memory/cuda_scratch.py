"""What CUDA kernels allocate inside themselves.

Source: ``aten/src/ATen/native/cuda`` of torch 2.14, and what its allocator was seen to do. Left out
is what libraries allocate for themselves: cuDNN (torch's own convolutions are assumed) and cuFFT.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vixtui.memory.allocator import BLOCK_BYTES, WORKSPACE_BYTES
from vixtui.memory.linear import Linear, linear
from vixtui.memory.scratch import NONE, Scratch, is_depthwise

_aten: Any = torch.ops.aten
_INDEX_BYTES, _FLOAT_BYTES = 8, 4
_REDUCING_THREADS, _WARP = 512, 32
# Of CUB's radix sort of 64-bit pairs from compute capability 8.0 on.
_SORTED_AT_ONCE, _SORTED_A_BLOCK, _SORTED_BITS, _SORTING_ALIGNMENT = 2304, 3840, 8, 256


@dataclass(frozen=True, slots=True)
class Gpu:
    """What buffers depend on; by default of an A30, of whose class most cards are.

    Args:
        multiprocessors, threads: of the GPU, and the most that run at once on one of the former.
        workspace_bytes: for cuBLAS.
    """

    multiprocessors: int = 56
    threads: int = 2048
    workspace_bytes: int = WORKSPACE_BYTES


DEFAULT_GPU = Gpu()


def scratch(func: Any, args: tuple[Any, ...], result: Any) -> Scratch:
    """Return the scratch of an operation, from the shapes of what it takes and returns.

    Args:
        func: an overload of an ATen operation.
        args: its arguments, tensors on any device.
        result: what it returned.
    """
    rule = _RULES.get(func.overloadpacket)
    return rule(args, result) if rule else NONE


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _copies(*tensors: Tensor) -> tuple[int, ...]:
    """Return a copy of each tensor that is not contiguous."""
    return tuple(_bytes(tensor) for tensor in tensors if not tensor.is_contiguous())


def _softmax_backward(args: tuple[Any, ...], result: Any) -> Scratch:
    return Scratch(before=(_bytes(args[0]),))


def _layer_norm(args: tuple[Any, ...], result: Any) -> Scratch:
    return Scratch(before=_copies(args[0]))


def _layer_norm_backward(args: tuple[Any, ...], result: Any) -> Scratch:
    return Scratch(before=_copies(args[1]), after=_copies(args[0]))


def _group_norm(args: tuple[Any, ...], result: Any) -> Scratch:
    image = args[0]
    a_channel = image.shape[0] * image.shape[1] * _FLOAT_BYTES
    return Scratch(before=_copies(image), after=(a_channel, a_channel))


def _group_norm_backward(args: tuple[Any, ...], result: Any) -> Scratch:
    gradient, image, groups = args[0], args[1], args[2]
    a_channel = image.shape[0] * image.shape[1] * _FLOAT_BYTES
    a_group = _bytes(groups)
    return Scratch(
        before=_copies(gradient, image), after=(a_channel, a_channel, a_group, a_group, a_channel)
    )


def _fft(args: tuple[Any, ...], result: Any) -> Scratch:
    return Scratch(after=(_bytes(args[0]),))


def _flash_backward(args: tuple[Any, ...], result: Any) -> Scratch:
    """The gradient of the queries is added up in float32, tokens rounded up to 128."""
    gradient, query, out = args[0], args[1], args[4]
    b, heads, tokens, width = query.shape
    rows = b * heads * _rounded(tokens, 128)
    return Scratch(
        before=_copies(gradient.transpose(1, 2), out.transpose(1, 2)),
        after=(rows * _FLOAT_BYTES, rows * _rounded(width, 32) * _FLOAT_BYTES),
    )


def _efficient_backward(args: tuple[Any, ...], result: Any) -> Scratch:
    """Gradients of the queries meet in blocks; in float32, sums come from other kernels."""
    gradient, query, out = args[0], args[1], args[5]
    b, heads, tokens, width = query.shape
    block = 64 if width <= 64 else 128
    sums = b * heads * tokens * _FLOAT_BYTES
    blocks = b * heads * (-(-tokens // block)) * (block * block + 4) * _FLOAT_BYTES
    summing = (_bytes(out), sums, sums) if query.dtype is torch.float32 else ()
    return Scratch(before=_copies(gradient.transpose(1, 2)), after=summing, then=(sums, blocks))


def _rounded(number: int, step: int) -> int:
    return -(-number // step) * step


def _columns(weight: Tensor, output: Tensor) -> int:
    """The windows of one picture, as the product with the weight takes them."""
    return math.prod(weight.shape[1:]) * math.prod(output.shape[2:]) * weight.element_size()


def _convolution(args: tuple[Any, ...], result: Any) -> Scratch:
    image, weight = args[:2]
    direct = is_depthwise(image, weight) or all(side == 1 for side in weight.shape[2:])
    return Scratch(
        before=_copies(image, weight), after=() if direct else (_columns(weight, result),)
    )


def _convolution_backward(args: tuple[Any, ...], result: Any) -> Scratch:
    gradient, image, weight = args[:3]
    if is_depthwise(image, weight):
        return Scratch(before=_copies(gradient), passing=_copies(image), order=(1, 0))
    columns, with_image = (_columns(weight, gradient),), result[0] is not None
    return Scratch(
        before=_copies(image, gradient),
        amid=columns if with_image else (),
        after=() if with_image else columns,
        order=() if result[2] is None else (0, 2, 1) if with_image else (1, 0),
    )


def _roll(args: tuple[Any, ...], result: Any) -> Scratch:
    """One dimension after the other."""
    return Scratch(before=(_bytes(result),) * (len(args[1]) - 1))


def _max_pool_backward(args: tuple[Any, ...], result: Any) -> Scratch:
    return Scratch(after=_copies(args[0]))


def _index_put(args: tuple[Any, ...], result: Any) -> Scratch:
    """Indices are sorted, so that equal ones can be added up (index_put_with_sort_kernel)."""
    target, indices, values = args[:3]
    count = math.prod(torch.broadcast_shapes(*(one.shape for one in indices if one is not None)))
    keys = math.prod(target.shape[: len(indices)])
    size = count * _INDEX_BYTES
    return Scratch(
        before=(size, *_copies(values), *(size,) * 3), after=(sorting_bytes(count, keys),)
    )


def sorting_bytes(count: int, keys: int) -> int:
    """Return what CUB takes to sort pairs of 64-bit numbers (dispatch_radix_sort.cuh).

    Args:
        count: of pairs.
        keys: how many there can be; more bits take more passes.
    """
    if count <= _SORTED_AT_ONCE:
        return 1
    passes = -(-(keys - 1).bit_length() // _SORTED_BITS)
    digits = 1 << _SORTED_BITS
    parts = (
        passes * digits * _INDEX_BYTES,
        -(-count // _SORTED_A_BLOCK) * digits * _FLOAT_BYTES,
        *((count * _INDEX_BYTES,) * 2 if passes > 1 else ()),
        passes * _FLOAT_BYTES,
    )
    return sum(_rounded(part, _SORTING_ALIGNMENT) for part in parts) + _SORTING_ALIGNMENT - 1


@dataclass(frozen=True, slots=True)
class Reduction:
    """The buffer of a sum that several blocks of threads work on (``ReduceConfig``, Reduce.cuh).

    Args:
        outputs, inputs: results, and numbers in each.
        along: whether neighbours in memory belong to one result.
        wide: whether four numbers at a time are read if they are `along`.
        divisors: what numbers of neighbouring results must divide to be read at a time.
        gpu: what it runs on.
    """

    outputs: Linear
    inputs: Linear
    along: bool
    wide: bool
    divisors: tuple[Linear, ...]
    gpu: Gpu

    def at(self, batch: int) -> int:
        """Return its bytes for so many pictures; 0 when one block of threads does."""
        outputs, inputs = self.outputs.at(batch), self.inputs.at(batch)
        vector = 1
        if self.along:
            first, second = inputs // 4 if self.wide and inputs > 128 else inputs, outputs
        else:
            vector = math.gcd(4, *(divisor.at(batch) for divisor in self.divisors))
            first, second = outputs // vector, inputs
        most = _REDUCING_THREADS // vector
        first, second = min(_power_below(first), most), min(_power_below(second), most)
        width = min(first, _WARP)
        height = min(second, most // width)
        width = min(first, most // height)
        step, results = (width, 1) if self.along else (1, width)
        a_thread = -(-inputs // step)
        shared = a_thread >= height * 16 or a_thread >= 256
        if shared:
            a_thread = -(-inputs // (step * height))
        else:
            results *= height
        grid = -(-(outputs // vector) // results)
        target = self.gpu.multiprocessors * (self.gpu.threads // (width * height))
        if not shared or a_thread < 256 or grid > target:
            return 0
        blocks = max(min(-(-target // grid), -(-a_thread // 16)), -(-a_thread // 256))
        if blocks <= 1:
            return 0
        size = _FLOAT_BYTES * outputs * blocks
        return size if self.along else size * width * vector


@dataclass(frozen=True, slots=True)
class _Semaphores:
    """With which those blocks of threads wait for each other; seldom more than one block."""

    reduction: Reduction

    def at(self, batch: int) -> int:
        """Return their bytes for so many pictures."""
        return BLOCK_BYTES if self.reduction.at(batch) else 0


def _power_below(number: int) -> int:
    return 1 << (max(1, number).bit_length() - 1)


def _sum(args: tuple[Any, ...], result: Any) -> Scratch:
    tensor: Tensor = args[0]
    if not result.numel() or not tensor.numel():
        return NONE
    chosen = args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) and args[1] else None
    dims = range(tensor.dim()) if chosen is None else [dim % tensor.dim() for dim in chosen]
    sides = [(int(one), int(side)) for one, side in zip(tensor.stride(), tensor.shape, strict=True)]
    summed = _merged(sides[dim] for dim in dims)
    kept = _merged(sides[dim] for dim in range(tensor.dim()) if dim not in dims)
    if not summed:
        return NONE
    along = not kept or summed[0][0] < kept[0][0]
    divisors: tuple[int, ...] = (1,)
    if not along and kept[0][0] == 1:
        others = [stride for stride, _ in (*summed, *kept[1:])]
        divisors = (kept[0][1], int(tensor.storage_offset()), *others)
    buffer = Reduction(
        linear(result.numel()),
        linear(tensor.numel() // result.numel()),
        along,
        summed[0][0] == 1 and len(summed) + len(kept) == 1,
        tuple(map(linear, divisors)),
        DEFAULT_GPU,
    )
    counts = (tensor.numel() * _INDEX_BYTES,) if tensor.dtype is torch.bool else ()
    return Scratch(after=(*counts, buffer, _Semaphores(buffer)))


def _merged(sides: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (stride, side) with rising strides, joined where one runs on in the next."""
    merged: list[tuple[int, int]] = []
    for stride, side in sorted(sides):
        if side == 1:
            continue
        if merged and merged[-1][0] * merged[-1][1] == stride:
            merged[-1] = merged[-1][0], merged[-1][1] * side
        else:
            merged.append((stride, side))
    return merged


@dataclass(frozen=True, slots=True)
class _Splits:
    """Partial results of flash attention where few queries ask many keys (num_splits_heuristic).

    Args:
        rows: pictures times heads.
        query_blocks, key_blocks: of all tokens.
        row_bytes: of a row's partial result.
    """

    rows: Linear
    query_blocks: int
    key_blocks: int
    row_bytes: int

    def at(self, batch: int) -> int:
        """Return its bytes for so many pictures."""
        rows, most = self.rows.at(batch), DEFAULT_GPU.multiprocessors * 2
        work = rows * self.query_blocks
        if work >= 0.8 * most:
            return 0
        efficiency = {}
        for splits in range(1, min(128, most, self.key_blocks) + 1):
            a_split = -(-self.key_blocks // splits)
            if splits == 1 or a_split != -(-self.key_blocks // (splits - 1)):
                waves = work * splits / most
                efficiency[splits] = waves / math.ceil(waves)
        enough = 0.85 * max(efficiency.values())
        splits = next(splits for splits, value in efficiency.items() if value >= enough)
        return splits * rows * self.row_bytes if splits > 1 else 0


def _flash(args: tuple[Any, ...], result: Any) -> Scratch:
    query, key = args[:2]
    b, heads, tokens, width = query.shape
    key_block = 256 if width <= 64 else 128 if width <= 128 else 64
    blocks = -(-tokens // 64), -(-key.shape[2] // key_block)
    return Scratch(
        after=tuple(
            _Splits(linear(b * heads), *blocks, tokens * columns * _FLOAT_BYTES)
            for columns in (1, _rounded(width, 32))
        )
    )


_Rule = Callable[[tuple[Any, ...], Any], Scratch]
_RULES: dict[Any, _Rule] = {
    _aten._softmax_backward_data: _softmax_backward,
    _aten.native_layer_norm: _layer_norm,
    _aten.native_layer_norm_backward: _layer_norm_backward,
    _aten.native_group_norm: _group_norm,
    _aten.native_group_norm_backward: _group_norm_backward,
    _aten._fft_c2c: _fft,
    _aten._scaled_dot_product_flash_attention: _flash,
    _aten._scaled_dot_product_flash_attention_backward: _flash_backward,
    _aten._scaled_dot_product_efficient_attention_backward: _efficient_backward,
    _aten.convolution: _convolution,
    _aten.convolution_backward: _convolution_backward,
    _aten.max_pool2d_with_indices_backward: _max_pool_backward,
    _aten.index_put: _index_put,
    _aten.roll: _roll,
    _aten.sum: _sum,
    _aten.mean: _sum,
    _aten.amax: _sum,
}
