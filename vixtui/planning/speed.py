"""How long an epoch takes: measured in an earlier run if there is one, else predicted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from statistics import median

from vixtui.errors import VixtuiError
from vixtui.memory.cost import StepCost, step_cost
from vixtui.memory.execution import Execution
from vixtui.memory.figures import PresetFigures
from vixtui.models.config import ModelConfig
from vixtui.runs.directory import RunDirectory, list_runs
from vixtui.runs.events import ModelBuilt, decode

_RUNS_LOOKED_AT = 20
_LINES_LOOKED_AT = 50
# An earlier run on a machine that was busy, or another machine, must not distort everything.
_LARGEST_CORRECTION = 8.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """What a device gets done; a step takes the sum of its three parts."""

    flops_per_second: float
    bytes_per_second: float
    seconds_per_kernel: float
    basis: str

    def step_seconds(self, cost: StepCost) -> float:
        """Return the predicted time of one optimizer step."""
        return (
            cost.flops / self.flops_per_second
            + cost.moved_bytes / self.bytes_per_second
            + cost.kernels * self.seconds_per_kernel
        )


# Fitted to single-precision training steps of 17 presets on one core of an Intel Xeon, 2026-11-22:
# fifteen within 13 %, two of size base 21 and 33 % too fast.
_CORE = Throughput(1e11, 1e10, 5e-6, "")
# A second core adds this much of the first one's speed.
_NEXT_CORE_SHARE = 0.5
_MOST_CORES = 8
_GPU = Throughput(4e12, 2e11, 1e-5, "predicted: 4 TFLOP/s (default, not measured on a GPU)")
# That the default stands for; a simulated GPU is taken to be faster or slower in proportion.
_GPU_MULTIPROCESSORS = 20


@dataclass(frozen=True, slots=True)
class MeasuredSpeed:
    """The training speed that an earlier run on this machine started with."""

    run: str
    device: str
    preset: str
    model: ModelConfig
    batch_size: int
    micro_batch: int
    images_per_second: float


def device_throughput(device: str, cores: int) -> Throughput:
    """Return the throughput assumed of a device nobody has trained on yet."""
    if device != "cpu":
        return _GPU
    factor = 1 + _NEXT_CORE_SHARE * (min(cores, _MOST_CORES) - 1)
    return Throughput(
        flops_per_second=_CORE.flops_per_second * factor,
        bytes_per_second=_CORE.bytes_per_second * factor,
        seconds_per_kernel=_CORE.seconds_per_kernel,
        basis=(
            f"predicted: {_CORE.flops_per_second / 1e9:.0f} GFLOP/s, "
            f"{_CORE.bytes_per_second / 1e9:.0f} GB/s a core"
        ),
    )


def simulated_throughput(multiprocessors: int | None) -> Throughput:
    """Return the throughput assumed of a GPU that is not here.

    Args:
        multiprocessors: of which the default has 20; None for the default.
    """
    if multiprocessors is None:
        return _GPU
    factor = multiprocessors / _GPU_MULTIPROCESSORS
    flops = _GPU.flops_per_second * factor
    return Throughput(
        flops_per_second=flops,
        bytes_per_second=_GPU.bytes_per_second * factor,
        seconds_per_kernel=_GPU.seconds_per_kernel,
        basis=(
            f"predicted: {flops / 1e12:.3g} TFLOP/s for {multiprocessors} multiprocessors "
            "(default, not measured on a GPU)"
        ),
    )


def corrected(
    throughput: Throughput, speeds: Iterable[MeasuredSpeed], figures: Mapping[str, PresetFigures]
) -> Throughput:
    """Return a throughput corrected by what earlier runs on the same device measured."""
    ratios = []
    for speed in speeds:
        try:
            cost = step_cost(
                figures[speed.preset],
                speed.model,
                Execution("cpu" if speed.device == "cpu" else "cuda"),
                micro_batch=speed.micro_batch,
                batch_size=speed.batch_size,
            )
        except (KeyError, ValueError):  # a preset or size of another version
            continue
        predicted = speed.batch_size / throughput.step_seconds(cost)
        ratios.append(speed.images_per_second / predicted)
    if not ratios:
        return throughput
    ratio = min(max(median(ratios), 1 / _LARGEST_CORRECTION), _LARGEST_CORRECTION)
    runs = "1 run" if len(ratios) == 1 else f"{len(ratios)} runs"
    return Throughput(
        flops_per_second=throughput.flops_per_second * ratio,
        bytes_per_second=throughput.bytes_per_second * ratio,
        seconds_per_kernel=throughput.seconds_per_kernel / ratio,
        basis=f"predicted, corrected by {runs} on this machine",
    )


def measured_speed(
    speeds: Iterable[MeasuredSpeed], preset: str, model: ModelConfig
) -> MeasuredSpeed | None:
    """Return the first speed measured of a preset's model; the number of classes may differ."""
    known = [speed for speed in speeds if speed.preset == preset]
    wanted = replace(model, num_classes=2) if known else model
    return next((speed for speed in known if replace(speed.model, num_classes=2) == wanted), None)


def read_speeds() -> list[MeasuredSpeed]:
    """Return the speeds that the newest runs measured, newest first."""
    newest = reversed(list_runs()[-_RUNS_LOOKED_AT:])
    return [speed for run in newest if (speed := _read_speed(run, _written(run))) is not None]


def _written(run: RunDirectory) -> tuple[int, ...]:
    """Return when the files that tell a run's speed were last written, in nanoseconds."""
    try:
        return tuple(path.stat().st_mtime_ns for path in (run.config_path, run.events_path))
    except OSError:
        return ()


@lru_cache(maxsize=4 * _RUNS_LOOKED_AT)
def _read_speed(run: RunDirectory, written: tuple[int, ...]) -> MeasuredSpeed | None:
    """Return a run's speed, if it tells one.

    Args:
        run: where to look.
        written: see `_written`; a run that has been written since is read again.
    """
    try:
        with run.events_path.open("rb") as file:
            events = [decode(line) for line in islice(file, _LINES_LOOKED_AT)]
        built = next((event for event in events if isinstance(event, ModelBuilt)), None)
        if built is None or built.images_per_second <= 0:
            return None
        config = run.config()
    except (OSError, VixtuiError):  # a damaged run teaches nothing
        return None
    return MeasuredSpeed(
        run=run.id,
        device=config.plan.device,
        preset=config.preset,
        model=config.model,
        batch_size=min(config.recipe.batch_size, config.data.train),
        micro_batch=config.plan.micro_batch,
        images_per_second=built.images_per_second,
    )
