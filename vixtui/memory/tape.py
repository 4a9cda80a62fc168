"""Records what operations on tensors of the meta device would allocate, compute and move."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vixtui.memory import cpu_scratch, cuda_scratch, operations
from vixtui.memory.execution import Backend
from vixtui.memory.linear import NOTHING, Linear, linear
from vixtui.memory.scratch import NONE, Buffer, Scratch, Size

_aten: Any = torch.ops.aten
# Results of torch's own kernels, whatever the layout of what they are given.
_CONTIGUOUS = frozenset((_aten.native_layer_norm, _aten.native_layer_norm_backward))
_CONTIGUOUS_ON_GPUS = _CONTIGUOUS | {
    _aten.convolution,
    _aten.convolution_backward,
    _aten.native_group_norm,
    _aten.native_group_norm_backward,
}

Mark = tuple[int, Linear | Buffer | None]
"""(block, size) when a block is allocated, (block, None) when it is freed."""

WORKSPACE = 0
"""The block of cuBLAS, which the first matrix product allocates and nothing frees."""
EDGE = -1
"""Stands for no block: marks where pictures have become tokens, and where they are no more."""


@dataclass(frozen=True, slots=True)
class Work:
    """What operations do: see `vixtui.memory.operations.kind`.

    Args:
        flops: floating-point operations of products, convolutions and transforms.
        convolution_flops, attention_flops: those of them that such kernels do.
        moved_bytes: read and written.
        function_bytes: those of them that functions move.
        kernels: operations started.
    """

    flops: Linear = NOTHING
    convolution_flops: Linear = NOTHING
    attention_flops: Linear = NOTHING
    moved_bytes: Linear = NOTHING
    function_bytes: Linear = NOTHING
    kernels: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.flops + other.flops,
            self.convolution_flops + other.convolution_flops,
            self.attention_flops + other.attention_flops,
            self.moved_bytes + other.moved_bytes,
            self.function_bytes + other.function_bytes,
            self.kernels + other.kernels,
        )


class Tape(TorchDispatchMode):
    """While it is active, keeps the books of storages, operations and memory traffic.

    Args:
        backend: whose kernels' scratch is recorded, too.
        first: number of the first block; tapes that are played together share none.
    """

    def __init__(self, backend: Backend, first: int = 0) -> None:
        super().__init__()
        self.marks: list[Mark] = []
        self.work = Work()
        self.adds_in_place = False
        """Whether autograd adds up gradients, which it does in place while nobody watches."""
        self._on_gpu = backend == "cuda"
        self._contiguous = _CONTIGUOUS_ON_GPUS if self._on_gpu else _CONTIGUOUS
        self._scratch = cuda_scratch.scratch if self._on_gpu else cpu_scratch.scratch
        self._has_workspace = False
        self._blocks = first
        self._live: dict[int, tuple[int, weakref.ref[Any]]] = {}

    def cut(self) -> tuple[tuple[Mark, ...], Work]:
        """Return the marks and the work since the last cut."""
        part = tuple(self.marks), self.work
        self.marks.clear()
        self.work = Work()
        return part

    def mark_edge(self) -> None:
        """Record that pictures have become tokens, or that what comes is for pictures again."""
        self.marks.append((EDGE, None))

    def hold(self, size: Size) -> int:
        """Record a block that no operation allocates, and return it."""
        self._blocks += 1
        self.marks.append((self._blocks, linear(size) if isinstance(size, int) else size))
        return self._blocks

    def see(self, tensor: Tensor) -> None:
        """Record a storage that is not known yet."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._live and (size := storage.nbytes()):
            self.adopt(tensor, self.hold(size))

    def adopt(self, tensor: Tensor, block: int) -> None:
        """Take a tensor's storage for a block that is allocated already."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        forget = weakref.ref(storage, lambda _: self._forget(key))
        self._live[key] = block, forget

    def block_of(self, tensor: Tensor) -> int:
        """Return the block that a live tensor is in."""
        return self._live[tensor.untyped_storage()._cdata][0]

    def _forget(self, key: int) -> None:
        self.marks.append((self._live.pop(key)[0], None))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.is_view or func.namespace != "aten" or func.overloadpacket is _aten._unsafe_view:
            return func(*args, **kwargs)
        if self.adds_in_place and func is _aten.add.Tensor and _alone(args[0]):
            return args[0]
        tensors = list(_tensors((args, tuple(kwargs.values()))))
        key = self._on_gpu, func, _signature(args), _signature(tuple(kwargs.items()))
        known = _KNOWN.get(key)
        if known is None:
            result = self._compute(func, args, kwargs)
            scratch = self._scratch(func, args, result)
            outputs = list(_tensors(result))
            places = {id(tensor): place for place, tensor in enumerate(tensors)}
            known = _Known(
                tuple(places.get(id(one), _Layout.of(one)) for one in outputs),
                _pattern(result),
                scratch,
                _work(func, args, kwargs, result, outputs),
            )
            if not _shares(outputs, tensors):
                _KNOWN[key] = known
        else:
            outputs = [
                tensors[made] if isinstance(made, int) else made.tensor() for made in known.outputs
            ]
            result = _filled(known.pattern, outputs)
        self._record(known.scratch, outputs)
        if self._on_gpu and known.work.flops != NOTHING:
            self._need_workspace()
        self.work += known.work
        return result

    def _need_workspace(self) -> None:
        if not self._has_workspace:
            self._has_workspace = True
            self.marks.append((WORKSPACE, Linear(cuda_scratch.DEFAULT_GPU.workspace_bytes)))

    def _compute(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func.overloadpacket is _aten._fused_adamw_:
            return None  # has no kernel for the meta device; works in place
        if func.overloadpacket is _aten.index_put:
            return args[0]  # autograd's is in place while nobody watches
        result = func(*args, **kwargs)
        if func.overloadpacket in self._contiguous:
            return _contiguous(result)
        return result

    def _record(self, scratch: Scratch, outputs: list[Tensor]) -> None:
        if scratch is NONE:
            for tensor in outputs:
                self.see(tensor)
            return
        first = self._hold_all(scratch.first)
        held, passing = self._hold_all(scratch.before), self._hold_all(scratch.passing)
        self._give_back(first)
        for number, index in enumerate(scratch.order or range(len(outputs))):
            self.see(outputs[index])
            if number == 0:
                self._give_back(passing)
                held += self._hold_all(scratch.amid)
        for sizes in (scratch.after, scratch.then):
            self._give_back(self._hold_all(sizes))
        self._give_back(held)

    def _hold_all(self, sizes: tuple[Size, ...]) -> list[int]:
        return [self.hold(size) for size in sizes]

    def _give_back(self, blocks: list[int]) -> None:
        self.marks += [(block, None) for block in reversed(blocks)]


@dataclass(frozen=True, slots=True)
class _Layout:
    """All that a tensor of the meta device is."""

    shape: torch.Size
    strides: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> _Layout:
        return cls(tensor.shape, tensor.stride(), tensor.dtype)

    def tensor(self) -> Tensor:
        return torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device="meta")


@dataclass(frozen=True, slots=True)
class _Known:
    """What an operation came to when it was first met with such arguments.

    Args:
        outputs: layouts of results, or the number of the argument that a result is.
        pattern: the result, in which `_HOLE` stands for a tensor.
    """

    outputs: tuple[_Layout | int, ...]
    pattern: Any
    scratch: Scratch
    work: Work


# References to a tensor, and to its storage, while nothing but autograd and this mode has them.
_TENSOR_REFERENCES, _STORAGE_REFERENCES = 4, 2


def _alone(tensor: Tensor) -> bool:
    """Return whether autograd may write over a gradient (can_accumulate_inplace)."""
    storage = tensor.untyped_storage()
    reach = 1 + sum(
        (side - 1) * stride for side, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )
    return (
        tensor._use_count() <= _TENSOR_REFERENCES  # type: ignore[attr-defined]
        and torch._C._storage_Use_Count(storage._cdata) <= _STORAGE_REFERENCES
        and reach == tensor.numel()
    )


def _shares(outputs: list[Tensor], inputs: list[Tensor]) -> bool:
    """Return whether a result is another tensor on the storage of an argument."""
    storages = {one.untyped_storage()._cdata for one in inputs}
    same = set(map(id, inputs))
    return any(id(one) not in same and one.untyped_storage()._cdata in storages for one in outputs)


# Blocks of a model, and the ways to compute it, repeat themselves: kernels of the meta device,
# which are written in Python, take most of the time.
_KNOWN: dict[Any, _Known] = {}


def forget_operations() -> None:
    """Let go of what is remembered of operations; a model's are of no use to another."""
    _KNOWN.clear()


def _signature(value: Any) -> Any:
    """Return something hashable that tells arguments apart as far as operations do."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.storage_offset()
    if isinstance(value, (list, tuple)):
        return tuple(map(_signature, value))
    return type(value), value


_HOLE = object()


def _pattern(result: Any) -> Any:
    if isinstance(result, (list, tuple)):
        return tuple(map(_pattern, result))
    return _HOLE if isinstance(result, Tensor) else result


def _filled(pattern: Any, outputs: list[Tensor]) -> Any:
    if isinstance(pattern, tuple):
        rest = iter(outputs)
        return tuple(next(rest) if one is _HOLE else one for one in pattern)
    return outputs[0] if pattern is _HOLE else pattern


def _work(
    func: Any, args: tuple[Any, ...], kwargs: Any, result: Any, outputs: list[Tensor]
) -> Work:
    kind, moved_bytes = operations.kind(func, args), NOTHING
    for tensor in (*outputs, *(tensor for value in args for tensor in _tensors(value))):
        moved_bytes += linear(tensor.numel() * tensor.element_size())
    flops = linear(operations.flops(func, args, kwargs, result))
    return Work(
        flops=flops,
        convolution_flops=flops if kind == "convolution" else NOTHING,
        attention_flops=flops if kind == "attention" else NOTHING,
        moved_bytes=moved_bytes,
        function_bytes=moved_bytes if kind == "function" else NOTHING,
        # A foreach operation on the CPU is a loop over its list.
        kernels=len(args[0]) if args and isinstance(args[0], (list, tuple)) else 1,
    )


def _contiguous(result: Any) -> Any:
    if isinstance(result, Tensor):
        return result if result.is_contiguous() else result.new_empty(result.shape)
    return tuple(_contiguous(one) if isinstance(one, Tensor) else one for one in result)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _tensors(entry)
