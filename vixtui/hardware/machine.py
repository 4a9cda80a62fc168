"""What a probe finds out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """Bytes and where the figure comes from: ``nvml``, ``psutil``, ``cgroup v2 memory.max``."""

    bytes: int
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One GPU; memory is never summed over several."""

    index: int
    uuid: str
    name: str
    total: Figure
    free: Figure

    @property
    def device(self) -> str:
        """How a plan names it: ``cuda:<uuid>``."""
        return f"cuda:{self.uuid}"


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
