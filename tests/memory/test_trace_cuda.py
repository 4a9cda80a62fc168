"""Predicted memory of training against the engine's own steps on torch's CUDA allocator."""

from __future__ import annotations

import statistics

import noop_cuda
from training_cases import CELLS, predicted, real, sample, trained

from vixtui.memory.allocator import SEGMENT_STEP_BYTES, Segments
from vixtui.presets import all_presets


def test_predicted_memory_is_what_the_real_allocator_gives(cuda: noop_cuda.NoopCuda) -> None:
    cases = [case for case in sample(60) if case["preset"].endswith((":tiny", ":small"))][:8]
    found = [predicted(case) for case in cases]
    truth = list(real(cuda, cases))
    peaks = [abs(one.peak / other.peak - 1) for one, other in zip(found, truth, strict=True)]
    assert statistics.median(peaks) <= 0.001
    assert max(peaks) <= 0.03
    close = [
        abs(one.native - other.native) <= max(0.05 * other.native, SEGMENT_STEP_BYTES)
        for one, other in zip(found, truth, strict=True)
    ]
    assert sum(close) >= len(cases) - 1
    budgets = [int(1.03 * one.native) for one in found]
    assert sum(trained(cuda, cases, budgets, Segments.NATIVE)) >= len(cases) - 1


def test_a_sample_holds_every_preset_and_every_way_to_compute() -> None:
    cases = sample(len(all_presets()) * 2)
    assert {case["preset"] for case in cases} == set(all_presets())
    ways = {(case["precision"], case["recompute"]) for case in cases}
    assert ways == {cell[:2] for cell in CELLS}
