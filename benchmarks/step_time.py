"""Predicted seconds of a training step beside measured ones, for every preset, in one run.

    python benchmarks/step_time.py [--only tiny,small]

A step of every preset is measured on one thread, in float32, and of a sample in bfloat16 and on all
cores, each after a calibration of this machine as `vixtui bench` makes it. Seconds are the least of
several steps after one that is not counted; on one thread, of processor time. All is done in two
passes. Prints tables and writes them to ``results/step_time.md``.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from vixtui.engine.bench import (
    TrainingStep,
    cost_of,
    least_seconds,
    measure_rates,
    ways_to_measure,
)
from vixtui.hardware.calibration import Rates
from vixtui.hardware.host import cpu_name, usable_cores
from vixtui.memory.execution import StepPrecision
from vixtui.planning.speed import Throughput
from vixtui.presets import all_presets
from vixtui.runs.process import engine_environment

RESULTS = Path(__file__).parent / "results" / "step_time.md"
SIDE = 32
BATCHES = {"tiny": 64, "small": 16, "base": 8, "paper": 8}
CALIBRATION_SECONDS = 3.0
SECONDS_A_PRESET, PASSES = 0.3, 2
TOLERANCE, TARGET = 0.25, "all within ±25 %"
# Of these, all sizes but the large ones, in the other ways to compute.
SAMPLE = ("vit", "vin", "vip", "vil", "fnet2d", "mixer", "hybrid-vin-rope", "cct", "cvn", "levit")


@dataclass(frozen=True, slots=True)
class Row:
    """A preset's step, in seconds."""

    preset: str
    batch: int
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """How far the prediction is off, as a share of what was measured."""
        return self.predicted / self.measured - 1


def least_of_passes(
    names: list[str], threads: int, precision: StepPrecision
) -> tuple[tuple[Rates, ...], dict[str, float]]:
    """Return what calibrations tell of one way to compute, and the seconds of presets' steps.

    The machine is calibrated and every step measured, then both once more, and the shorter times
    count: a machine that others use, too, is slow for a while, then fast again.
    """
    calibrated, seconds = list[Rates](), dict[str, float]()
    for _ in range(PASSES):
        every_way = measure_rates(usable_cores(), CALIBRATION_SECONDS)
        calibrated += [
            rates for rates in every_way if (rates.threads, rates.precision) == (threads, precision)
        ]
        for name in names:
            step = TrainingStep(name, SIDE, batch_of(name), precision=precision)
            (taken,) = least_seconds([(threads, step)], SECONDS_A_PRESET)
            seconds[name] = min(seconds.get(name, taken), taken)
    return tuple(calibrated), seconds


def batch_of(name: str) -> int:
    """Return how many pictures a step of a preset takes."""
    return BATCHES[name.partition(":")[2]]


def rows(
    calibrated: tuple[Rates, ...], seconds: dict[str, float], precision: StepPrecision
) -> Iterator[Row]:
    """Yield predictions beside measurements."""
    throughput = Throughput(calibrated, "")
    for name, measured in seconds.items():
        cost = cost_of(name, SIDE, batch_of(name), precision=precision)
        yield Row(name, batch_of(name), throughput.step_seconds(cost, precision), measured)


def summary(title: str, found: list[Row]) -> str:
    """Return a way's figures beside the target, in one line."""
    errors = [row.error for row in found]
    within = sum(abs(error) <= TOLERANCE for error in errors)
    worst = max(found, key=lambda row: abs(row.error))
    measured = (
        f"{within} of {len(found)}; median {statistics.median(map(abs, errors)):.0%}, "
        f"worst {worst.error:+.0%} ({worst.preset})"
    )
    return f"{title:32} {measured:>58} {TARGET:>18}"


def describe(rates: Rates) -> str:
    """Return calibrated rates in one line."""
    giga = (
        f"{name.partition('_')[0]} {getattr(rates, name) / 1e9:.1f}"
        for name in (
            "product_flops",
            "convolution_flops",
            "attention_flops",
            "moved_bytes",
            "function_bytes",
        )
    )
    return f"{way(rates):16} {', '.join(giga)} G/s, kernel {rates.kernel_seconds * 1e6:.1f} µs"


def way(rates: Rates) -> str:
    """Return the way to compute in words."""
    return f"{rates.threads} thread{'s' * (rates.threads > 1)}, {rates.precision}"


def run_as_the_engine() -> None:
    """Start anew with the heap and threads that training has, which a process gets at its start."""
    settings = engine_environment()
    if settings.keys() - os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | settings)


def main() -> None:
    """Print the tables and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="tiny,small,base,paper", help="sizes of presets")
    sizes = parser.parse_args().only.split(",")
    names = [name for name in all_presets() if name.partition(":")[2] in sizes]
    sample = [f"{variant}:{size}" for variant in SAMPLE for size in ("tiny", "small")]
    sample = [name for name in sample if name in names]
    started, lines = time.perf_counter(), list[str]()

    def tell(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    tell(f"{platform.platform()}, Python {platform.python_version()}, torch {version('torch')}")
    tell(f"{cpu_name()}, {usable_cores()} cores; load {load()}")
    summaries = []
    for threads, precision in ways_to_measure(usable_cores()):
        everything = (threads, precision) == (1, "fp32")
        chosen = names if everything else sample
        if not chosen:
            continue
        calibrated, seconds = least_of_passes(chosen, threads, precision)
        for rates in calibrated:
            tell(describe(rates))
        tell(f"\n{'preset':24} {'batch':>5} {'predicted s':>12} {'measured s':>12} {'off':>6}")
        found = list(rows(calibrated, seconds, precision))
        for row in found:
            tell(
                f"{row.preset:24} {row.batch:5} {row.predicted:12.3f} {row.measured:12.3f} "
                f"{row.error:+6.0%}{'' if abs(row.error) <= TOLERANCE else '  NO'}"
            )
        title = f"{way(calibrated[0])}, {'every preset' if everything else 'a sample'}"
        summaries.append(summary(title, found))
        tell(summaries[-1] + "\n")
    tell("\n".join(summaries))
    tell(f"{time.perf_counter() - started:.0f} s; load {load()}")
    write(lines)


def load() -> str:
    """Return how many programs wanted to run in the last minute: 1 is this one."""
    return f"{psutil.getloadavg()[0]:.1f}"


def write(lines: list[str]) -> None:
    """Write the result file."""
    RESULTS.write_text(
        f"# make bench-time, {datetime.date.today()}\n\n"
        f"Seconds of a training step on random {SIDE}×{SIDE} pictures: augmentation, forward, "
        "backward, clipping, AdamW and\naveraged weights, as the engine does them. Predicted from "
        "the shipped figures and the calibrations above a\ntable, of which the faster counts, as "
        f"of steps measured in {PASSES} passes. `vixtui bench` calibrates in the same way.\n\n```\n"
        + "\n".join(lines)
        + "\n```\n"
    )


if __name__ == "__main__":
    run_as_the_engine()
    main()
