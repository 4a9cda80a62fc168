"""What a probe finds out."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Literal

Backend = Literal["cuda", "rocm", "mps", "xpu"]


@dataclass(frozen=True, slots=True)
class Figure:
    """Bytes, where they come from (``nvml``, ``psutil``, ``cgroup v2 memory.max``), and when.

    Args:
        bytes: the amount.
        source: who said so.
        read_at: seconds since the epoch.
    """

    bytes: int
    source: str
    read_at: float = field(default_factory=time.time, compare=False)

    @property
    def age_seconds(self) -> float:
        """How long ago the figure was read; a clock set back makes it 0, not negative."""
        return max(0.0, time.time() - self.read_at)

    def shared(self) -> Figure:
        """Return the same figure of a GPU that has no memory but the system's."""
        return replace(self, source=f"{self.source}, shared with the system")


def gpu_number(index: int, slice_index: int | None) -> str:
    """Return how people count a GPU, ``0``, or a slice of it, ``0:1``."""
    return str(index) if slice_index is None else f"{index}:{slice_index}"


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """Another process that holds memory of a GPU; `bytes` is None where the driver is silent."""

    pid: int
    bytes: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One GPU, or one MIG slice of it; memory is never summed over several.

    Args:
        index: NVIDIA's by PCI bus, others as torch counts them.
        slice_index: which MIG slice of the GPU, None for a whole one.
        uuid: as CUDA takes it; empty where there is none.
        name: for people; nothing is concluded from it about memory.
        total: what it has, or what of the system's memory it may use.
        free: what of that is free now.
        backend: which part of torch drives it.
        reserved: what the driver keeps for itself, None where it does not say.
        processes: the others that use it, None where the driver does not say.
        shared: whether its memory is the system's.
    """

    index: int
    slice_index: int | None = None
    uuid: str
    name: str
    total: Figure
    free: Figure
    backend: Backend = "cuda"
    reserved: Figure | None = None
    processes: tuple[GpuProcess, ...] | None = None
    shared: bool = False

    @property
    def number(self) -> str:
        """How people count it."""
        return gpu_number(self.index, self.slice_index)

    @property
    def device(self) -> str:
        """How a plan names it: ``cuda:<uuid>``, ``rocm:0``, ``xpu:0``, ``mps``."""
        if self.backend == "mps":
            return self.backend
        return f"{self.backend}:{self.uuid if self.backend == 'cuda' else self.number}"

    @property
    def names(self) -> frozenset[str]:
        """All that a user may call it. torch calls ROCm ``cuda``, so that is understood too."""
        families = ("cuda", "rocm") if self.backend == "rocm" else (self.backend,)
        counted = (f"{family}:{self.number}" for family in families)
        return frozenset((self.device, self.uuid, *families, *counted)) - {""}


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """This machine now. `notes` say in one line each what could not be found out and why."""

    cpu: str
    cores: int
    ram_total: Figure
    ram_free: Figure
    disk_free: Figure
    gpus: tuple[Gpu, ...]
    notes: tuple[str, ...]
