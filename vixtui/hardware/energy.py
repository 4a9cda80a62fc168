"""Energy that this machine reports to have used, by counters of processor (RAPL) or GPU (NVML).

A counter is of a whole part, other programs included. What no counter covers is unknown, never
estimated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vixtui.hardware.nvml import DriverUnusableError, gpu_joules

_POWERCAP = "sys/class/powercap"


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter that only rises, but for a wrap to 0 at `wraps_at` joules.

    Args:
        name: what it covers.
        read: returns joules; raises OSError, ValueError or DriverUnusableError.
    """

    name: str
    read: Callable[[], float]
    wraps_at: float | None = None


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules used, None when unknown, and what was counted or why nothing was."""

    joules: float | None
    basis: str


class EnergyMeter:
    """Adds up what the counters of a device rise by, from now on.

    Args:
        device: ``cpu`` or ``cuda:<uuid>``; other devices have no counter.
        root: what stands for ``/``; tests give a folder of their own.
    """

    def __init__(self, device: str, root: Path = Path("/")) -> None:
        self._counters: tuple[Counter, ...] = ()
        self._joules, self._reason = 0.0, ""
        try:
            self._counters = _counters(device, root)
            self._last = [counter.read() for counter in self._counters]
        except (OSError, ValueError, DriverUnusableError) as error:
            self._reason = _reason(error)

    def poll(self) -> Energy:
        """Return the energy since the beginning; one wrap between two polls is seen."""
        if not self._reason:
            try:
                now = [counter.read() for counter in self._counters]
            except (OSError, ValueError, DriverUnusableError) as error:
                self._reason = _reason(error)
            else:
                for counter, before, after in zip(self._counters, self._last, now, strict=True):
                    wrapped = after < before
                    self._joules += after - before + (counter.wraps_at or 0.0) * wrapped
                self._last = now
        if self._reason:
            return Energy(None, self._reason)
        return Energy(max(0.0, self._joules), ", ".join(counter.name for counter in self._counters))


def _counters(device: str, root: Path) -> tuple[Counter, ...]:
    kind, _, uuid = device.partition(":")
    if kind == "cuda":
        return (Counter("GPU (NVML)", lambda: gpu_joules(uuid)),)
    if kind != "cpu":
        raise ValueError(f"no energy counter is known for {kind}")
    found = _processor_counters(root)
    if not found:
        raise ValueError("this machine reports no energy")
    return found


def _processor_counters(root: Path) -> tuple[Counter, ...]:
    """Return the counters of all packages and of memory beside them; cores are inside a package."""
    counters = []
    for zone in sorted((root / _POWERCAP).glob("intel-rapl:*")):
        try:
            name = (zone / "name").read_text().strip()
            wraps_at = int((zone / "max_energy_range_uj").read_text()) / 1e6
        except (OSError, ValueError):
            continue
        if name.startswith("package") or name == "dram":
            counters.append(Counter(f"{name} (RAPL)", _reader(zone / "energy_uj"), wraps_at))
    return tuple(counters)


def _reader(path: Path) -> Callable[[], float]:
    return lambda: int(path.read_text()) / 1e6


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"{error.filename} may not be read"
    return str(error)
