"""Makes tensors without a device (``meta``) take the ways of a CPU's or of a GPU's.

Which operations a model comes down to depends on the device: code asks for it, autocast has lists
of its own for each, attention has kernels of its own. Tensors on torch's meta device compute
nothing, but are asked nothing either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from vixtui.memory.execution import Backend
from vixtui.memory.tape import Tape

# Any device type but "cpu" that torch's autocast accepts on machines without such a device.
_GPU = "xpu"
_MASK_ALIGNMENT = 8
_META = torch.device("meta")
_DEVICE_GETTER: Any = torch.Tensor.device.__get__


def _named(names: str, *owners: Any) -> frozenset[Any]:
    return frozenset(
        getattr(owner, name) for name in names.split() for owner in owners if hasattr(owner, name)
    )


# Lists of ``aten/src/ATen/autocast_mode.h``, as far as image classifiers may use them.
_PRODUCTS = _named(
    "conv1d conv2d conv3d addmm addmv addr matmul __matmul__ __rmatmul__ einsum mm mv linear "
    "addbmm baddbmm bmm chain_matmul scaled_dot_product_attention",
    torch, Tensor, F,
)  # fmt: skip
_PRECISE_ON_GPUS = _named(
    "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow __pow__ "
    "__rpow__ softplus layer_norm group_norm norm cosine_similarity nll_loss cross_entropy "
    "mse_loss smooth_l1_loss cdist logsumexp prod softmax log_softmax cumprod cumsum sum",
    torch, Tensor, F,
)  # fmt: skip
_SUMS = _named("sum", torch, Tensor)
_ADDITIONS = _named("add __add__ __radd__", torch, Tensor)


class Emulation(TorchFunctionMode):
    """While it is active, tensors on the meta device are `backend`'s.

    `tape` is told of additions. ``torch.autocast(emulation.device_type, …)`` then acts on them as
    on those of the backend.
    """

    def __init__(self, tape: Tape, backend: Backend) -> None:
        super().__init__()
        self._tape = tape
        self._on_gpu = backend == "cuda"
        self.device_type = _GPU if self._on_gpu else "cpu"
        self._device = torch.device(self.device_type)
        self._precise = _PRECISE_ON_GPUS if self._on_gpu else frozenset[Any]()
        self._casts: dict[int, Tensor] = {}
        self._clear: Callable[[], None] = torch.clear_autocast_cache

    def __enter__(self) -> Emulation:
        # Autocast calls it when its outermost region ends: only then are cast weights let go of.
        if torch.clear_autocast_cache is self._clear:
            torch.clear_autocast_cache = self._casts.clear
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch.clear_autocast_cache = self._clear

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func == _DEVICE_GETTER:
            return self._device
        if kwargs.get("device") is not None:
            kwargs["device"] = _META
        elif func is Tensor.to and not isinstance(args[1], (torch.dtype, Tensor)):
            args = (args[0], _META, *args[2:])
        if torch.is_autocast_enabled(self.device_type):
            if func in _PRODUCTS:
                args = self._narrowed_all(args)
                kwargs = {name: self._narrowed(value) for name, value in kwargs.items()}
            elif func in self._precise:
                if func in _SUMS:
                    kwargs.setdefault("dtype", _widened_dtype(args[0]))
                else:
                    args = tuple(_widened(value) for value in args)
                    kwargs = {name: _widened(value) for name, value in kwargs.items()}
        if func is F.scaled_dot_product_attention:
            return self._attention(*args, **kwargs)
        if self._tape.adds_in_place and func in _ADDITIONS:
            # Asked for by a backward pass in Python, not by autograd.
            self._tape.adds_in_place = False
            result = func(*args, **kwargs)
            self._tape.adds_in_place = True
            return result
        return func(*args, **kwargs)

    def _narrowed_all(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Cast from last to first, as compiled code evaluates arguments."""
        return tuple([self._narrowed(value) for value in reversed(values)][::-1])

    def _narrowed(self, value: Any) -> Any:
        """Cast to 16 bits; weights once a region, as autocast's cache does (cached_cast)."""
        dtype = torch.get_autocast_dtype(self.device_type)
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.dtype == dtype:
            return value
        if not (value.requires_grad and value.is_leaf and not value._is_view()):
            return value.to(dtype)
        if id(value) not in self._casts:
            self._casts[id(value)] = value.to(dtype)
        return self._casts[id(value)]

    def _attention(
        self, q: Tensor, k: Tensor, v: Tensor, *, attn_mask: Tensor | None, dropout_p: float
    ) -> Any:
        """Call the kernel that the backend's ``scaled_dot_product_attention`` would choose."""
        aten = torch.ops.aten
        if not self._on_gpu:
            if attn_mask is not None and attn_mask.requires_grad:
                return aten._scaled_dot_product_attention_math(q, k, v, attn_mask, dropout_p)[0]
            return aten._scaled_dot_product_flash_attention_for_cpu(
                q, k, v, dropout_p, attn_mask=attn_mask
            )[0]
        if q.dtype == torch.float32 or attn_mask is not None:
            if attn_mask is not None:
                attn_mask = _aligned(attn_mask).expand(*q.shape[:3], k.shape[2])
            with_gradient = torch.is_grad_enabled() and any(
                tensor.requires_grad for tensor in (q, k, v)
            )
            return aten._scaled_dot_product_efficient_attention(
                q, k, v, attn_mask, with_gradient, dropout_p
            )[0]
        width = q.shape[-1]
        scale, extra = width**-0.5, -width % 8
        if extra:
            q, k, v = (F.pad(tensor, (0, extra)) for tensor in (q, k, v))
        out = aten._scaled_dot_product_flash_attention(q, k, v, dropout_p, scale=scale)[0]
        return out[..., :width] if extra else out


def _aligned(mask: Tensor) -> Tensor:
    """Pad rows in memory to a multiple of 8 numbers, as the kernel wants them (preprocess_mask)."""
    columns = mask.shape[-1]
    if not any(stride % _MASK_ALIGNMENT for stride in mask.stride()[:-1]):
        return mask
    return F.pad(mask, (0, _MASK_ALIGNMENT - columns % _MASK_ALIGNMENT))[..., :columns]


def _widened(value: Any) -> Any:
    """Cast 16 bits to 32."""
    if isinstance(value, Tensor) and value.is_floating_point() and value.element_size() == 2:
        return value.float()
    return value


def _widened_dtype(tensor: Tensor) -> torch.dtype | None:
    return torch.float32 if tensor.is_floating_point() and tensor.element_size() == 2 else None
