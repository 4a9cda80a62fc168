"""How long an epoch takes: measured in an earlier run if there is one, else predicted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from statistics import median

from vixtui.errors import VixtuiError
from vixtui.hardware.calibration import Calibration, Rates, read_calibration
from vixtui.hardware.machine import Machine
from vixtui.memory.cost import StepCost, step_cost
from vixtui.memory.execution import Execution, StepPrecision
from vixtui.memory.figures import PresetFigures
from vixtui.models.config import ModelConfig, Recompute
from vixtui.runs.directory import RunDirectory, list_runs
from vixtui.runs.events import Event, ModelBuilt, RunStarted, StepDone, decode
from vixtui.text import counted

_RUNS_LOOKED_AT = 20
_LINES_LOOKED_AT = 50
# Of about 0.1 s each.
_FEWEST_WINDOWS = 5
# An earlier run on a machine that was busy, or another machine, must not distort everything.
_LARGEST_CORRECTION = 8.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """What a device gets done, in each way it may compute, and how that is known."""

    ways: tuple[Rates, ...]
    basis: str

    def step_seconds(self, cost: StepCost, precision: StepPrecision = "fp32") -> float:
        """Return the predicted time of one optimizer step, in the fastest number of threads.

        Args:
            cost: of the step.
            precision: bfloat16 counts as float32 where its speed is not known.
        """
        ways = [rates for rates in self.ways if rates.precision == precision] or self.ways
        return min(rates.seconds(cost) for rates in ways)

    def knows(self, precision: StepPrecision) -> bool:
        """Tell whether its speed in a precision was measured, or assumed for that precision."""
        return any(rates.precision == precision for rates in self.ways)

    def times(self, factor: float, basis: str) -> Throughput:
        """Return the throughput of a device that is so many times as fast."""
        return Throughput(tuple(rates.times(factor) for rates in self.ways), basis)


def _alike(flops: float, moved_bytes: float, kernel_seconds: float, threads: int) -> Rates:
    """Return rates that do not tell kinds of work apart."""
    return Rates(
        threads=threads,
        product_flops=flops,
        convolution_flops=flops,
        attention_flops=flops,
        moved_bytes=moved_bytes,
        function_bytes=moved_bytes,
        kernel_seconds=kernel_seconds,
    )


# Fitted to single-precision training steps of 17 presets on one core of an Intel Xeon, 2026-11-22:
# fifteen within 13 %, two of size base 21 and 33 % too fast.
_CORE_FLOPS, _CORE_BYTES, _KERNEL_SECONDS = 1e11, 1e10, 5e-6
# A second core adds this much of the first one's speed.
_NEXT_CORE_SHARE = 0.5
_MOST_CORES = 8
_GPU = Throughput(
    (_alike(4e12, 2e11, 1e-5, threads=0),),
    "predicted: 4 TFLOP/s (default, not measured on a GPU)",
)
# That the default stands for; a simulated GPU is taken to be faster or slower in proportion.
_GPU_MULTIPROCESSORS = 20


@dataclass(frozen=True, slots=True)
class MeasuredSpeed:
    """How fast an earlier run on this machine trained in its first seconds.

    Args:
        batch_size: pictures a weight update, of one of its processes.
        images_per_second: of all its processes together.
        processes: on all machines.
    """

    run: str
    device: str
    preset: str
    model: ModelConfig
    batch_size: int
    micro_batch: int
    images_per_second: float
    precision: StepPrecision = "fp32"
    recompute: Recompute = "none"
    processes: int = 1


def device_throughput(
    device: str, cores: int, calibration: Calibration | None = None
) -> Throughput:
    """Return the throughput assumed of a device nobody has trained on yet.

    Args:
        device: as `Budget.device`.
        cores: that may be used.
        calibration: of the processor, if it was measured.
    """
    if device != "cpu":
        return _GPU
    if calibration is not None:
        basis = f"predicted from a calibration of this machine, {calibration.date}"
        return Throughput(calibration.rates, basis)
    factor = 1 + _NEXT_CORE_SHARE * (min(cores, _MOST_CORES) - 1)
    rates = _alike(_CORE_FLOPS * factor, _CORE_BYTES * factor, _KERNEL_SECONDS, threads=cores)
    return Throughput(
        (rates,),
        f"predicted: {_CORE_FLOPS / 1e9:.0f} GFLOP/s, {_CORE_BYTES / 1e9:.0f} GB/s a core "
        "(default; vixtui bench measures it)",
    )


def machine_throughput(device: str, machine: Machine) -> Throughput:
    """Return the throughput assumed of a device of this machine, calibrated if it ever was."""
    calibration = read_calibration(machine.cpu, machine.cores) if device == "cpu" else None
    return device_throughput(device, machine.cores, calibration)


def simulated_throughput(multiprocessors: int | None) -> Throughput:
    """Return the throughput assumed of a GPU that is not here.

    Args:
        multiprocessors: of which the default has 20; None for the default.
    """
    if multiprocessors is None:
        return _GPU
    factor = multiprocessors / _GPU_MULTIPROCESSORS
    (assumed,) = _GPU.ways
    flops = assumed.product_flops * factor
    rates = replace(assumed.times(factor), kernel_seconds=assumed.kernel_seconds)
    return Throughput(
        (rates,),
        f"predicted: {flops / 1e12:.3g} TFLOP/s for {multiprocessors} multiprocessors "
        "(default, not measured on a GPU)",
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
                Execution(
                    "cpu" if speed.device == "cpu" else "cuda", speed.precision, speed.recompute
                ),
                micro_batch=speed.micro_batch,
                batch_size=speed.batch_size,
            )
        except (KeyError, ValueError):  # a preset or size of another version
            continue
        predicted = speed.batch_size / throughput.step_seconds(cost, speed.precision)
        ratios.append(speed.images_per_second / predicted)
    if not ratios:
        return throughput
    ratio = min(max(median(ratios), 1 / _LARGEST_CORRECTION), _LARGEST_CORRECTION)
    runs = counted(len(ratios), "run")
    return throughput.times(ratio, f"predicted, corrected by {runs} on this machine")


def measured_speed(
    speeds: Iterable[MeasuredSpeed], preset: str, model: ModelConfig
) -> MeasuredSpeed | None:
    """Return the first speed measured of a preset's model; the number of classes may differ."""
    known = (speed for speed in speeds if speed.preset == preset)
    return next((speed for speed in known if same_model(speed.model, model)), None)


def same_model(one: ModelConfig, other: ModelConfig) -> bool:
    """Tell whether two models are one but for the number of classes."""
    return replace(one, num_classes=other.num_classes) == other


def read_speeds() -> list[MeasuredSpeed]:
    """Return the speeds that the newest runs measured, newest first."""
    newest = reversed(list_runs()[-_RUNS_LOOKED_AT:])
    return [speed for run in newest if (speed := _read_speed(run, run.written())) is not None]


@lru_cache(maxsize=4 * _RUNS_LOOKED_AT)
def _read_speed(run: RunDirectory, written: tuple[int, ...]) -> MeasuredSpeed | None:
    """Return a run's speed, if it tells one.

    Args:
        run: where to look.
        written: when its files were; a run that has been written since is read again.
    """
    try:
        with run.events_path.open("rb") as file:
            events = _first_session(map(decode, islice(file, _LINES_LOOKED_AT)))
        built = next((event for event in events if isinstance(event, ModelBuilt)), None)
        if built is None or built.images_per_second <= 0:
            return None
        config = run.config()
        windows = [event.images_per_second for event in events if isinstance(event, StepDone)]
    except (OSError, VixtuiError):  # a damaged run teaches nothing
        return None
    processes = max(built.processes, config.plan.nproc)
    return MeasuredSpeed(
        run=run.id,
        device=config.plan.device,
        preset=config.preset,
        model=config.model,
        batch_size=-(-min(config.recipe.batch_size, config.data.train) // processes),
        micro_batch=config.plan.micro_batch,
        # What was tried before the first step leaves out the change of the weights.
        images_per_second=(
            median(windows) if len(windows) >= _FEWEST_WINDOWS else built.images_per_second
        ),
        precision="bf16" if built.precision == "bf16" else "fp32",
        recompute=config.plan.recompute,
        processes=processes,
    )


def _first_session(events: Iterable[Event | None]) -> list[Event | None]:
    """Return events up to where a run was resumed, perhaps by another number of processes."""
    first: list[Event | None] = []
    for event in events:
        if isinstance(event, RunStarted) and any(isinstance(seen, ModelBuilt) for seen in first):
            break
        first.append(event)
    return first
