"""Predicted and measured peak memory of engines that train on the processor.

    python benchmarks/memory_cpu.py [--quick]

Every engine is a real one, started as ``vixtui train`` starts it, on a few drawn pictures. What it
measures is VmHWM, the most memory that was resident. What torch, Python and their libraries take
by themselves is that of an engine with next to no model, less its predicted step; the growth above
it is compared with the predicted growth, and the whole with the whole. How the C library's heap
falls apart differs from run to run by some 10 MiB, so each case is the median of three engines.
Linux only.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "engine"))
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler logs every start and stop

import torch
from profiled_step import config_of, real_peak_bytes

from vixtui.data.sources import open_source
from vixtui.data.split import Split
from vixtui.memory.engine import CPU_BASE_BYTES
from vixtui.memory.execution import Execution, StepPrecision
from vixtui.memory.trace import trace_config
from vixtui.models.config import Recompute
from vixtui.planning.needs import PresetNeeds
from vixtui.planning.start import data_config
from vixtui.presets import all_presets, preset
from vixtui.runs.config import Plan, Recipe, RunConfig
from vixtui.runs.directory import create_run
from vixtui.runs.events import Finished, last_event
from vixtui.runs.process import start_training

GROWTH_TARGET = 0.08
STEPS, REPEATS = 3, 3
# Times as many as are learned from at a time: an evaluation takes no more at once.
HELD_OUT = 4
SEED = 0
# Pictures of 32 pixels a side that the profiler looks at a step of.
PROFILED_BATCHES = {"tiny": (1, 16), "small": (8,), "base": (2,), "paper": (4,)}


@dataclass(frozen=True, slots=True)
class Case:
    """A training: what of, on pictures of how many pixels a side, how computed."""

    preset: str
    side: int
    micro_batch: int
    precision: StepPrecision = "fp32"
    recompute: Recompute = "none"

    def __str__(self) -> str:
        return (
            f"{self.preset} {self.side} px, {self.micro_batch} at a time, "
            f"{self.precision}, {self.recompute}"
        )


NEXT_TO_NOTHING = Case("fnet:tiny", 16, 1)
CASES = (
    Case("vit:small", 64, 64),
    Case("vip:small", 32, 64),
    Case("vil:small", 64, 64),
    Case("vin:small", 64, 64),
    Case("fnet:small", 64, 128),
    Case("mixer:small", 64, 128),
    Case("hybrid-vin:small", 64, 64),
    Case("cvt:small", 64, 64),
    Case("ccp:small", 64, 32),
    Case("levin:small", 64, 64),
    Case("fnet2d:small", 64, 64),
    Case("vit:base", 32, 8),
    Case("vit:small", 64, 128, "fp32", "block"),
    Case("vip:small", 32, 64, "fp32", "mlp"),
    Case("vip:small", 32, 64, "fp32", "fast"),
    Case("vit:small", 64, 64, "bf16"),
    Case("hybrid-vip:small", 64, 64, "bf16"),
    Case("vin:small", 64, 64, "bf16", "block"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """Bytes of one case: of the step as traced, of the engine as predicted and as measured."""

    case: Case
    step: int
    predicted: int
    measured: int
    base: int

    @property
    def growth_error(self) -> float:
        """Predicted by measured growth, less 1."""
        return (self.predicted - CPU_BASE_BYTES) / (self.measured - self.base) - 1

    @property
    def whole_error(self) -> float:
        """Predicted by measured whole, less 1."""
        return self.predicted / self.measured - 1


def measure(case: Case, home: Path) -> tuple[int, int, int]:
    """Train; return bytes of the traced step, of an engine as predicted, and as measured."""
    runs = [train(case, home) for _ in range(REPEATS)]
    (step, predicted), measured = runs[0][:2], [run[2] for run in runs]
    return step, predicted, int(median(measured))


def train(case: Case, home: Path) -> tuple[int, int, int]:
    """Train once; return bytes as `measure` does."""
    source = open_source("shapes:images=5000", seed=SEED, image_size=case.side)
    whole = source.split
    count, held_out = STEPS * case.micro_batch, HELD_OUT * case.micro_batch
    split = Split(whole.train[:count], whole.validation[:held_out], whole.test[:held_out])
    source = replace(source, split=split)
    model = preset(case.preset).model_config(
        image_height=case.side,
        image_width=case.side,
        in_channels=source.in_channels,
        num_classes=len(source.classes),
    )
    need = PresetNeeds(
        case.preset, model, images=count, batch_size=case.micro_batch, on_cpu=True
    ).at(case.micro_batch, case.precision, case.recompute)
    config = RunConfig(
        id=f"run-{len(list(home.glob('runs/*')))}",
        created="",
        vixtui="",
        preset=case.preset,
        seed=SEED,
        model=model,
        data=data_config(source),
        recipe=Recipe(epochs=1, batch_size=case.micro_batch, cutmix=0.5),
        plan=Plan(
            device="cpu",
            micro_batch=case.micro_batch,
            precision=case.precision,
            threads=1,
            recompute=case.recompute,
            budget_bytes=2**40,
            predicted_peak_bytes=need.peak_bytes,
            basis="",
        ),
    )
    run = create_run(config, split.to_json())
    code, end = start_training(run).wait(), last_event(run.events_path)
    if code or not isinstance(end, Finished):
        raise RuntimeError(run.log_path.read_text())
    return need.costs[0].peak_bytes, need.peak_bytes, end.peak_memory_bytes


def measured_rows(cases: tuple[Case, ...] = CASES) -> Iterator[Row]:
    """Yield a row a case."""
    with tempfile.TemporaryDirectory() as folder:
        earlier = os.environ.get("VIXTUI_HOME")
        os.environ["VIXTUI_HOME"] = folder
        try:
            _, predicted, measured = measure(NEXT_TO_NOTHING, Path(folder))
            base = measured - (predicted - CPU_BASE_BYTES)
            for case in cases:
                yield Row(case, *measure(case, Path(folder)), base)
        finally:
            del os.environ["VIXTUI_HOME"]
            if earlier is not None:
                os.environ["VIXTUI_HOME"] = earlier


def profiled_errors() -> Iterator[tuple[str, float]]:
    """Yield how far a trace is from torch's profiler, of every preset in float32 and bfloat16.

    The steps and the evaluation are the engine's, in this process; what is recomputed is drawn.
    """
    torch.set_num_threads(1)
    draw = random.Random(SEED)
    for name in all_presets():
        size = preset(name).size
        for batch, precision in itertools.product(PROFILED_BATCHES[size], get_args(StepPrecision)):
            config, execution = (
                config_of(name, 32),
                Execution("cpu", precision, draw.choice(get_args(Recompute))),
            )
            (traced,) = trace_config(config, execution).script().peaks([batch])
            real = real_peak_bytes(config, batch, execution, steps=1)
            yield f"{name} {batch} {precision} {execution.recompute}", traced / real - 1


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="every third case")
    cases = CASES[::3] if parser.parse_args().quick else CASES
    assert {case.recompute for case in CASES} == set(get_args(Recompute))
    print(f"{'MiB':52} {'step':>6} {'predicted':>10} {'measured':>9} {'whole':>7} {'growth':>7}")
    rows = []
    for row in measured_rows(cases):
        rows.append(row)
        print(
            f"{row.case!s:52} {row.step >> 20:6} {row.predicted >> 20:10} {row.measured >> 20:9} "
            f"{row.whole_error:+7.1%} {row.growth_error:+7.1%}  "
            f"{(row.measured - row.base) / row.step:.2f}",
            flush=True,
        )
    print(f"libraries alone: {rows[0].base >> 20} MiB, predicted {CPU_BASE_BYTES >> 20} MiB")
    for name, errors in (
        ("whole", [abs(row.whole_error) for row in rows]),
        ("growth", [abs(row.growth_error) for row in rows]),
    ):
        print(
            f"{name}: median {median(errors):.1%}, worst {max(errors):.1%}, "
            f"target {GROWTH_TARGET:.0%}"
        )


if __name__ == "__main__":
    main()
