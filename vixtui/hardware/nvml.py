"""NVIDIA GPUs through NVML: what each has and what is free now, or one line why not."""

from __future__ import annotations

import os
from typing import Any

from vixtui.hardware.machine import Figure, Gpu
from vixtui.text import safe


def list_gpus() -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """Return the usable GPUs in PCI order, and one note a thing that went wrong. Never raises.

    ``CUDA_VISIBLE_DEVICES`` is obeyed: a GPU hidden from CUDA is not offered.
    """
    try:
        import pynvml
    except ImportError:
        return (), ("nvidia-ml-py is not installed: the CPU is used",)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return (), ("no NVIDIA driver library: the CPU is used",)
    except Exception as error:  # a broken driver answers with whatever it likes
        return (), (f"NVIDIA driver unusable ({_text(error)}): the CPU is used",)
    try:
        return _read_gpus(pynvml, os.environ.get("CUDA_VISIBLE_DEVICES"))
    except Exception as error:
        return (), (f"NVIDIA driver unusable ({_text(error)}): the CPU is used",)
    finally:
        _shut_down(pynvml)


def _read_gpus(pynvml: Any, visible: str | None) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    gpus: list[Gpu] = []
    notes: list[str] = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            gpu = _read_gpu(pynvml, index)
        except Exception as error:  # one lost GPU must not hide the others
            notes.append(f"GPU {index} is left out: {_text(error)}")
            continue
        if visible is None or _is_visible(gpu, visible):
            gpus.append(gpu)
        else:
            notes.append(f"GPU {index} is left out: hidden by CUDA_VISIBLE_DEVICES")
    if not gpus:
        notes.append("no usable NVIDIA GPU: the CPU is used")
    return tuple(gpus), tuple(notes)


def _read_gpu(pynvml: Any, index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    if _is_partitioned(pynvml, handle):
        raise ValueError("it is split into MIG slices, whose free memory is not known")
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        index=index,
        uuid=safe(str(pynvml.nvmlDeviceGetUUID(handle))),
        name=safe(str(pynvml.nvmlDeviceGetName(handle))),
        total=Figure(int(memory.total), "nvml"),
        free=Figure(int(memory.free), "nvml"),
    )


def _is_partitioned(pynvml: Any, handle: Any) -> bool:
    """Tell whether the GPU is in MIG mode: its memory is then its parent's, not a slice's."""
    try:
        current, _pending = pynvml.nvmlDeviceGetMigMode(handle)
    except pynvml.NVMLError:
        return False
    return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)


def _is_visible(gpu: Gpu, visible: str) -> bool:
    """Tell whether CUDA shows the GPU: entries are indices or beginnings of UUIDs."""
    for entry in (part.strip() for part in visible.split(",")):
        if entry == str(gpu.index) or (entry.startswith("GPU-") and gpu.uuid.startswith(entry)):
            return True
    return False


def _shut_down(pynvml: Any) -> None:
    try:
        pynvml.nvmlShutdown()
    except Exception:  # nothing depends on a tidy end
        return


def _text(error: Exception) -> str:
    return safe(str(error) or type(error).__name__, 100)
