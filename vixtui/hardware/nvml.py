"""NVIDIA GPUs through NVML: what each has and what is free now, or one line why not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from vixtui.hardware.machine import Figure, Gpu, GpuProcess, gpu_number
from vixtui.text import safe

# Parts that have no memory of their own: NVML answers "not supported", and says nothing else that
# tells them from a GPU with a fault.
_INTEGRATED = re.compile(r"\b(GB10|Jetson|Orin|Tegra|Thor|Xavier|nvgpu)\b", re.IGNORECASE)


class DriverUnusableError(Exception):
    """NVML cannot be used; the text says why."""


def list_gpus(ram_total: Figure, ram_free: Figure) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """Return the usable GPUs in PCI order, and one note a thing that went wrong. Never raises.

    A GPU in MIG mode is its slices, each with its own UUID and memory. ``CUDA_VISIBLE_DEVICES`` is
    obeyed: a GPU hidden from CUDA is not offered.

    Args:
        ram_total: the system's memory, which is also that of integrated parts.
        ram_free: what of it is free now.
    """
    try:
        with _driver() as nvml:
            gpus, notes = _read_gpus(nvml, ram_total, ram_free)
    except DriverUnusableError as error:
        return (), (f"{error}: the CPU is used",)
    except Exception as error:  # a broken driver answers with whatever it likes
        return (), (f"NVIDIA driver unusable ({_text(error)}): the CPU is used",)
    if not gpus:
        notes.append("no usable NVIDIA GPU: the CPU is used")
    return tuple(gpus), tuple(notes)


def driver_versions() -> dict[str, str]:
    """Return the versions of the driver, of NVML and of the CUDA it can run.

    Raises:
        DriverUnusableError: when there are none to be had.
    """
    with _driver() as nvml:
        versions = {}
        with suppress(Exception):
            versions["driver"] = safe(str(nvml.nvmlSystemGetDriverVersion()), 40)
        with suppress(Exception):
            versions["nvml"] = safe(str(nvml.nvmlSystemGetNVMLVersion()), 40)
        with suppress(Exception):
            number = int(nvml.nvmlSystemGetCudaDriverVersion_v2())
            versions["cuda"] = f"{number // 1000}.{number % 1000 // 10}"
        return versions


def gpu_joules(uuid: str) -> float:
    """Return the energy that a GPU has used since its driver was loaded, in joules.

    Raises:
        DriverUnusableError: when it does not tell, as before Volta and for slices.
    """
    with _driver() as nvml:
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
            return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000
        except Exception as error:
            raise DriverUnusableError(f"this GPU reports no energy ({_text(error)})") from error


@contextmanager
def _driver() -> Iterator[Any]:
    """Yield pynvml, ready for questions.

    Raises:
        DriverUnusableError: when it is not.
    """
    try:
        import pynvml
    except ImportError as error:
        raise DriverUnusableError("nvidia-ml-py is not installed") from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound as error:
        raise DriverUnusableError("no NVIDIA driver library") from error
    except Exception as error:
        raise DriverUnusableError(f"NVIDIA driver unusable ({_text(error)})") from error
    try:
        yield pynvml
    finally:
        with suppress(Exception):  # nothing depends on a tidy end
            pynvml.nvmlShutdown()


@dataclass(frozen=True, slots=True)
class _Part:
    """What CUDA can be told to use: a whole GPU, or a MIG slice of one."""

    handle: Any
    index: int
    slice_index: int | None
    uuid: str
    whole_uuid: str

    @property
    def number(self) -> str:
        """How people count it."""
        return gpu_number(self.index, self.slice_index)

    def is_visible(self, visible: str) -> bool:
        """Tell whether ``CUDA_VISIBLE_DEVICES`` names it: by index or the beginning of a UUID."""
        entries = takewhile(lambda entry: entry != "-1", map(str.strip, visible.split(",")))
        return any(
            entry == str(self.index)
            or (
                entry.startswith(("GPU-", "MIG-"))
                and (self.uuid.startswith(entry) or self.whole_uuid.startswith(entry))
            )
            for entry in entries
        )


def _read_gpus(nvml: Any, ram_total: Figure, ram_free: Figure) -> tuple[list[Gpu], list[str]]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus: list[Gpu] = []
    notes: list[str] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            parts = _parts(nvml, index)
        except Exception as error:  # one lost GPU must not hide the others
            notes.append(f"GPU {index} is left out: {_text(error)}")
            continue
        for part in parts:
            try:
                gpu = _read_gpu(nvml, part, ram_total, ram_free)
            except Exception as error:
                notes.append(f"GPU {part.number} is left out: {_text(error)}")
                continue
            if visible is None or part.is_visible(visible):
                gpus.append(gpu)
            else:
                notes.append(f"GPU {part.number} is left out: hidden by CUDA_VISIBLE_DEVICES")
    return gpus, notes


def _parts(nvml: Any, index: int) -> list[_Part]:
    """Return the GPU itself, or its slices in MIG mode, where its own figures serve nobody.

    Raises:
        LookupError: when it is in MIG mode and none of its slices is ours.
        NVMLError: when it does not answer.
    """
    whole = nvml.nvmlDeviceGetHandleByIndex(index)
    whole_uuid = safe(nvml.nvmlDeviceGetUUID(whole))
    if not _is_partitioned(nvml, whole):
        return [_Part(whole, index, None, whole_uuid, whole_uuid)]
    parts = []
    for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(whole)):
        with suppress(nvml.NVMLError_NotFound, nvml.NVMLError_NoPermission):
            handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(whole, number)
            uuid = safe(nvml.nvmlDeviceGetUUID(handle))
            parts.append(_Part(handle, index, number, uuid, whole_uuid))
    if not parts:
        raise LookupError("in MIG mode, and no slice of it is ours")
    return parts


def _is_partitioned(nvml: Any, whole: Any) -> bool:
    try:
        current, _pending = nvml.nvmlDeviceGetMigMode(whole)
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
        return False
    return bool(current == nvml.NVML_DEVICE_MIG_ENABLE)


def _read_gpu(nvml: Any, part: _Part, ram_total: Figure, ram_free: Figure) -> Gpu:
    name = safe(nvml.nvmlDeviceGetName(part.handle))
    integrated = _INTEGRATED.search(name) is not None
    memory = _read_memory(nvml, part.handle, integrated=integrated)
    total, free, reserved = memory or (ram_total.shared(), ram_free.shared(), None)
    if integrated and ram_free.bytes < free.bytes:
        free = ram_free.shared()
    return Gpu(
        index=part.index,
        slice_index=part.slice_index,
        uuid=part.uuid,
        name=name,
        total=total,
        free=free,
        reserved=reserved,
        processes=_read_processes(nvml, part.handle),
        shared=integrated,
    )


def _read_memory(
    nvml: Any, handle: Any, *, integrated: bool
) -> tuple[Figure, Figure, Figure | None] | None:
    """Return total, free and reserved memory; None for an integrated part that has none.

    Raises:
        NVMLError: when the GPU does not tell, and no other reason than a fault is known.
    """
    try:
        memory, source = _ask_memory(nvml, handle)
    except nvml.NVMLError_NotSupported:
        if integrated:
            return None
        raise
    if integrated and memory.total == 0:
        return None
    reserved = Figure(memory.reserved, source) if hasattr(memory, "reserved") else None
    return Figure(memory.total, source), Figure(memory.free, source), reserved


def _ask_memory(nvml: Any, handle: Any) -> tuple[Any, str]:
    """Return what NVML tells, and its name; drivers older than 510 know the first version only."""
    try:
        return nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2), "nvml"
    except (
        nvml.NVMLError_FunctionNotFound,
        nvml.NVMLError_ArgumentVersionMismatch,
        nvml.NVMLError_NotSupported,
    ):
        return nvml.nvmlDeviceGetMemoryInfo(handle), "nvml, first version"


def _read_processes(nvml: Any, handle: Any) -> tuple[GpuProcess, ...] | None:
    """Return who else uses the GPU, by process id; None where (as under WSL) nobody tells."""
    lists = []
    for ask in (
        nvml.nvmlDeviceGetComputeRunningProcesses,
        nvml.nvmlDeviceGetGraphicsRunningProcesses,
    ):
        with suppress(Exception):
            lists.append(ask(handle))
    used = {entry.pid: entry.usedGpuMemory for entries in lists for entry in entries}
    return tuple(GpuProcess(pid, used[pid]) for pid in sorted(used)) if lists else None


def _text(error: Exception) -> str:
    return safe(str(error) or type(error).__name__, 100)
