"""Trainings to predict, and what torch's own allocator and the prediction say of them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import noop_cuda
from allocator_cases import decode

from vixtui.memory.allocator import BLOCK_BYTES, Event, Segments, simulate, smallest_budget
from vixtui.memory.execution import Execution
from vixtui.memory.trace import trace_config
from vixtui.models.config import ModelConfig
from vixtui.presets import all_presets, preset

BATCHES = (1, 8, 32, 128)
CELLS = list(itertools.product(("fp32", "bf16"), ("none", "mlp", "block", "fast"), BATCHES))
# Deep models on many tokens take minutes, most of it in Python.
_LARGEST_BATCH = {"tiny": 128, "small": 128, "base": 8, "paper": 32}


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: most allocated, and the smallest budget with each kind of segments."""

    peak: int
    native: int
    expandable: int


def sample(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return trainings in which, given enough, every preset and every cell of `CELLS` occurs.

    A third accumulates two micro-batches; pictures have the sides that presets are made for.
    """
    draw = random.Random(seed)
    names = sorted(all_presets())
    draw.shuffle(names)
    cells = [CELLS[index] for index in draw.sample(range(len(CELLS)), len(CELLS))]
    found = []
    for name, (precision, recompute, batch), number in zip(
        itertools.cycle(names), itertools.cycle(cells), range(count), strict=False
    ):
        batch = min(batch, _LARGEST_BATCH[preset(name).size])
        parts = 2 if number % 3 == 0 and batch > 1 else 1
        found.append(
            {
                "preset": name,
                "side": draw.choice((28, 32, 32, 64)) if preset(name).size == "tiny" else 32,
                "batch": batch,
                "micro_batch": batch // parts,
                "precision": precision,
                "recompute": recompute,
                "limit": None,
            }
        )
    return found


def model_of(case: dict[str, Any]) -> ModelConfig:
    """Return the model of a training."""
    side = case["side"]
    return preset(case["preset"]).model_config(
        image_height=side, image_width=side, in_channels=3, num_classes=10
    )


def execution_of(case: dict[str, Any]) -> Execution:
    """Return how a training computes."""
    return Execution("cuda", case["precision"], case["recompute"])


def predicted(case: dict[str, Any]) -> Memory:
    """Return what a live trace tells."""
    return predicted_twice(case)[0]


def predicted_twice(case: dict[str, Any]) -> tuple[Memory, int]:
    """Return what a live trace tells, and its peak alone.

    What is too little to be split off a block counts for the allocator, and not in the peak alone.
    """
    micro_batch = case["micro_batch"]
    script = trace_config(model_of(case), execution_of(case)).script(
        accumulate=micro_batch < case["batch"]
    )
    (peak,) = script.peaks([micro_batch], block=BLOCK_BYTES)
    return _memory(script.events(micro_batch)), peak


def real(cuda: noop_cuda.NoopCuda, cases: Sequence[dict[str, Any]]) -> Iterator[Memory]:
    """Yield what the engine's own steps ask of torch's allocator.

    Budgets are those for the recorded events in the simulation, which equals the allocator.
    """
    for run in cuda.run(noop_cuda.HERE / "train.py", list(cases)):
        yield _memory(decode(run["events"]))


def trained(
    cuda: noop_cuda.NoopCuda,
    cases: Sequence[dict[str, Any]],
    limits: Sequence[int],
    segments: Segments,
) -> list[bool]:
    """Return whether trainings succeed under limits on torch's own allocator."""
    limited = [case | {"limit": limit} for case, limit in zip(cases, limits, strict=True)]
    runs = cuda.run(
        noop_cuda.HERE / "train.py",
        limited,
        expandable_segments=segments is Segments.EXPANDABLE,
    )
    return [run["trained"] for run in runs]


def _memory(events: list[Event]) -> Memory:
    return Memory(
        simulate(events).peak_allocated,
        smallest_budget(events),
        smallest_budget(events, segments=Segments.EXPANDABLE),
    )
