"""How fast this machine's processor was measured to be, kept in the user's folder."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vixtui.files import disk_error, write_atomically
from vixtui.paths import calibration_path

if TYPE_CHECKING:
    from vixtui.memory.cost import StepCost
    from vixtui.memory.execution import StepPrecision

SCHEMA_VERSION = 1
_MAX_BYTES = 100_000
_MOST_RATES = 16
_MOST_THREADS = 4096
# Beyond what any processor does or any user waits for.
_LOWEST, _HIGHEST = 1e3, 1e18
_LONGEST_KERNEL = 1.0

_AMOUNTS = (
    "product_flops",
    "convolution_flops",
    "attention_flops",
    "moved_bytes",
    "function_bytes",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """What a device gets done in a second of one kind of work, computed in one way.

    Args:
        threads: CPU threads; 0 for a GPU.
        precision: of products and convolutions.
        product_flops: floating-point operations of matrix products.
        convolution_flops, attention_flops: those of such kernels.
        moved_bytes: read and written by all operations but functions.
        function_bytes: by exponentials, GELU, norms and the like.
        kernel_seconds: what starting an operation takes.
    """

    threads: int
    precision: StepPrecision = "fp32"
    product_flops: float
    convolution_flops: float
    attention_flops: float
    moved_bytes: float
    function_bytes: float
    kernel_seconds: float

    def seconds(self, cost: StepCost) -> float:
        """Return the predicted time of an optimizer step: the kinds of work, each at its rate."""
        products = cost.flops - cost.convolution_flops - cost.attention_flops
        return (
            products / self.product_flops
            + cost.convolution_flops / self.convolution_flops
            + cost.attention_flops / self.attention_flops
            + (cost.moved_bytes - cost.function_bytes) / self.moved_bytes
            + cost.function_bytes / self.function_bytes
            + cost.kernels * self.kernel_seconds
        )

    def times(self, factor: float) -> Rates:
        """Return the rates of a device that is so many times as fast."""
        amounts = {name: getattr(self, name) * factor for name in _AMOUNTS}
        return replace(self, **amounts, kernel_seconds=self.kernel_seconds / factor)


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What ``vixtui bench`` measured.

    Args:
        torch: version.
        cpu, cores: of the processor, as probed.
        measured_at: seconds since the epoch.
        rates: one entry for each number of threads and precision.
    """

    torch: str
    cpu: str
    cores: int
    measured_at: float
    rates: tuple[Rates, ...]

    @property
    def date(self) -> str:
        """Day of the measurement, local time, as 2026-11-26."""
        return time.strftime("%Y-%m-%d", time.localtime(self.measured_at))

    @property
    def age_seconds(self) -> float:
        """How long ago it was measured; a clock set back makes it 0, not negative."""
        return max(0.0, time.time() - self.measured_at)


def write_calibration(calibration: Calibration) -> Path:
    """Keep a calibration in place of an earlier one; return where.

    Raises:
        DiskError: when it cannot be written.
    """
    path = calibration_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, path) from error
    table = {"schema_version": SCHEMA_VERSION, **asdict(calibration)}
    write_atomically(path, json.dumps(table, indent=1).encode())
    return path


def read_calibration(cpu: str, cores: int) -> Calibration | None:
    """Return this machine's calibration; None when there is none, or the file is of no use.

    Args:
        cpu, cores: as probed; a calibration of another processor tells nothing here.
    """
    try:
        path = calibration_path()
        if path.stat().st_size > _MAX_BYTES:
            return None
        table = json.loads(path.read_bytes())
        calibration = _calibration(table)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return calibration if (calibration.cpu, calibration.cores) == (cpu, cores) else None


def _calibration(table: Mapping[str, Any]) -> Calibration:
    """Return what a file holds.

    Raises:
        KeyError, TypeError, ValueError: when it is damaged or of another schema.
    """
    if table["schema_version"] != SCHEMA_VERSION:
        raise ValueError("another schema")
    entries, measured_at = table["rates"], _number(table["measured_at"], 0, time.time() + 86400)
    if not isinstance(entries, list) or not 0 < len(entries) <= _MOST_RATES:
        raise ValueError("no rates")
    rates = tuple(rates_from(entry) for entry in entries)
    if "fp32" not in {entry.precision for entry in rates}:
        raise ValueError("nothing in float32")
    torch, cpu = table["torch"], table["cpu"]
    if not isinstance(torch, str) or not isinstance(cpu, str):
        raise TypeError("no names")
    cores = int(_number(table["cores"], 1, _MOST_THREADS))
    return Calibration(torch=torch, cpu=cpu, cores=cores, measured_at=measured_at, rates=rates)


def rates_from(entry: Mapping[str, Any]) -> Rates:
    """Return rates from what `dataclasses.asdict` made of them.

    Raises:
        KeyError, TypeError, ValueError: when that cannot be.
    """
    if set(entry) != {field.name for field in fields(Rates)}:
        raise ValueError("other rates")
    precision = entry["precision"]
    if precision not in ("fp32", "bf16"):
        raise ValueError("another precision")
    return Rates(
        threads=int(_number(entry["threads"], 1, _MOST_THREADS)),
        precision=precision,
        **{name: _number(entry[name], _LOWEST, _HIGHEST) for name in _AMOUNTS},
        kernel_seconds=_number(entry["kernel_seconds"], 0, _LONGEST_KERNEL),
    )


def _number(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a number")
    if not math.isfinite(value) or not low <= value <= high:
        raise ValueError("out of bounds")
    return float(value)
