"""The device a plan names, as torch knows it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import torch

from vixtui.errors import UsageError


def select(name: str, index: int | None = None) -> torch.device:
    """Return the torch device of a plan: ``cpu`` or as `vixtui.hardware.machine.Gpu.device`.

    An NVIDIA GPU is made the only visible one by its UUID, because NVML and CUDA may count
    differently. Must run before CUDA is used. With several processes on one machine, `index` tells
    each its own among the GPUs of that family.

    Raises:
        UsageError: when torch cannot use the device, or CUDA offers another GPU than that.
    """
    family, _, which = name.partition(":")
    if family == "cpu":
        return torch.device("cpu")
    if index is not None:
        which = str(index)
    elif family == "cuda":
        os.environ["CUDA_VISIBLE_DEVICES"], which = which, "0"
    # torch drives ROCm under CUDA's name.
    device = torch.device("cuda" if family == "rocm" else family, int(which or 0))
    found = torch.accelerator.current_accelerator(check_available=True)
    usable = found is not None and found.type == device.type
    if not usable or device.index >= torch.accelerator.device_count():
        raise UsageError("torch cannot use this GPU", where=name, remedy="try --device cpu")
    if index is None and family == "cuda" and not _is_meant(device, name):
        raise UsageError("CUDA offers another GPU", where=name, remedy="try --device cpu")
    return device


def _is_meant(device: torch.device, name: str) -> bool:
    """Tell whether CUDA's GPU is the plan's; a UUID of zeros, or a slice's GPU's, tells nothing."""
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return name.startswith("cuda:MIG-") or name.endswith(uuid) or not uuid.strip("0-")


def peak_memory_bytes(device: torch.device) -> int:
    """Return the most memory used so far: of torch's allocator on a GPU, else of the process."""
    if device.type == "mps":  # keeps no record of the most; what it holds now includes its cache
        return torch.mps.driver_allocated_memory()
    if device.type != "cpu":
        return torch.accelerator.max_memory_allocated(device)
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":
        return _high_water_bytes()
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _high_water_bytes() -> int:
    """Return the peak resident memory; ``ru_maxrss`` would count that of the parent's copy, too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return int(psutil.Process().memory_info().rss)


# Of torch's CPU allocator, Apple's and other drivers, the C++ library, CUDA's BLAS, and oneDNN,
# which finds no room for the code of a kernel.
NO_ROOM_FOR_CODE = "could not create a primitive"
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "out of memory",
    "std::bad_alloc",
    "CUBLAS_STATUS_ALLOC_FAILED",
    NO_ROOM_FOR_CODE,
)


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out, on any device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)
    )
