"""The device a plan names, as torch knows it."""

from __future__ import annotations

import os
import sys

import psutil
import torch

from vixtui.errors import UsageError


def select(name: str) -> torch.device:
    """Return the torch device of a plan: ``cpu`` or ``cuda:<uuid>``.

    A GPU is made the only visible one by its UUID, because NVML and CUDA may count differently.
    Must run before CUDA is used.

    Raises:
        UsageError: when the device cannot be used.
    """
    if name.startswith("cuda:"):
        os.environ["CUDA_VISIBLE_DEVICES"] = name.removeprefix("cuda:")
        if not torch.cuda.is_available():
            raise UsageError("CUDA cannot use this GPU", where=name, remedy="try --device cpu")
        return torch.device("cuda:0")
    return torch.device("cpu")


def peak_memory_bytes(device: torch.device) -> int:
    """Return the most memory used so far: of torch's allocator on a GPU, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out, on any device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
