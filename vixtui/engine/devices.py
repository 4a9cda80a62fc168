"""The GPUs of Apple, AMD and Intel, as torch sees them; NVIDIA's are NVML's to describe.

Runs in a process of its own that ends at once: a GPU keeps memory for whoever has looked at it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch


def describe_devices() -> dict[str, Any]:
    """Return torch's version, what it is built for, and its GPUs, JSON-able.

    A GPU has ``backend, index, name, total, free, shared, source, read_at``: bytes, and seconds
    since the epoch; ``free`` is None where only the system can tell. One that fails has
    ``backend, index, error``.
    """
    return {
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "xpu": getattr(torch.version, "xpu", None),
        "cuda_gpus": 0 if torch.version.hip else torch.cuda.device_count(),
        "devices": _devices(),
    }


def _devices() -> list[dict[str, Any]]:
    if torch.version.hip:
        return [_try("rocm", index, _rocm) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        return [_try("mps", 0, _apple)]
    return [_try("xpu", index, _intel) for index in range(torch.xpu.device_count())]


def _try(backend: str, index: int, describe: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    try:
        entry = {**describe(index), "read_at": time.time()}
    except Exception as error:  # one broken GPU must not hide the others
        entry = {"error": str(error) or type(error).__name__}
    return {"backend": backend, "index": index, **entry}


def _rocm(index: int) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    return {
        "name": properties.name,
        "total": total,
        "free": free,
        "shared": bool(properties.is_integrated),
        "source": "HIP, by torch",
    }


def _apple(index: int) -> dict[str, Any]:
    total = torch.mps.recommended_max_memory()
    return {
        "name": getattr(torch.backends.mps, "get_name", lambda: "Apple GPU")(),
        "total": total,
        "free": total - torch.mps.driver_allocated_memory(),
        "shared": True,
        "source": "Metal's recommended maximum, by torch",
    }


def _intel(index: int) -> dict[str, Any]:
    properties = torch.xpu.get_device_properties(index)
    if properties.type != "gpu":
        raise ValueError(f"it is no GPU but: {properties.type}")
    # Integrated GPUs cannot tell what is free, and what they have is the system's.
    integrated = bool(getattr(properties, "is_integrated_gpu", False))
    free = None if integrated else torch.xpu.mem_get_info(index)[0]
    return {
        "name": properties.name,
        "total": properties.total_memory,
        "free": free,
        "shared": integrated,
        "source": "SYCL, by torch",
    }
