"""The simulation against torch's own allocator, which runs on stand-ins of NVIDIA's libraries."""

from __future__ import annotations

from typing import Any

import noop_cuda
import pytest
from allocator_cases import (
    Figures,
    decode,
    figures,
    random_cases,
    real_figures,
    simulated_figures,
)

from vixtui.memory.allocator import Event, Segments, simulate, smallest_budget

TRAINED = [
    {"preset": "vit:tiny", "batch": 64, "side": 32, "precision": "bf16"},
    {"preset": "hybrid-vin:tiny", "batch": 16, "side": 32, "precision": "fp32"},
    {"preset": "vip:tiny", "batch": 64, "side": 32, "precision": "bf16"},
    {"preset": "fnet:tiny", "batch": 64, "side": 32, "precision": "fp32"},
]

every_mode = pytest.mark.parametrize("segments", Segments)


def train(
    cuda: noop_cuda.NoopCuda, cases: list[dict[str, Any]], segments: Segments
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cuda.run(
        noop_cuda.HERE / "train.py", cases, expandable_segments=segments is Segments.EXPANDABLE
    )
    return found


@every_mode
def test_random_traces_equal_the_real_allocator_to_the_byte(
    cuda: noop_cuda.NoopCuda, segments: Segments
) -> None:
    cases = [case for seed in range(30) for case in random_cases(seed, 1000, segments)]
    real = real_figures(cuda, cases, segments)
    assert {failed_at is None for *_, failed_at in real} == {True, False}
    assert simulated_figures(cases, segments) == real


@every_mode
def test_real_training_needs_what_its_recorded_events_say(
    cuda: noop_cuda.NoopCuda, segments: Segments
) -> None:
    runs = train(cuda, [case | {"limit": None} for case in TRAINED], segments)
    events: list[list[Event]] = [decode(run["events"]) for run in runs]
    real: list[Figures] = [(run["peak_allocated"], run["peak_reserved"], None) for run in runs]
    assert [figures(simulate(trace, segments=segments)) for trace in events] == real

    budgets = [smallest_budget(trace, segments=segments) for trace in events]
    limited = [
        case | {"limit": int(share * budget)}
        for case, budget in zip(TRAINED, budgets, strict=True)
        for share in (1.0, 0.97)
    ]
    trained = [run["trained"] for run in train(cuda, limited, segments)]
    assert trained == [True, False] * len(TRAINED)
