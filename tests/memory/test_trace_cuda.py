"""Predicted memory of training against the engine's own steps on torch's CUDA allocator."""

from __future__ import annotations

import statistics
from typing import Any

import noop_cuda
import pytest
from training_cases import CELLS, predicted, real, sample, trained

from vixtui.memory.allocator import SEGMENT_STEP_BYTES, Segments
from vixtui.memory.cuda_scratch import sorting_bytes
from vixtui.presets import all_presets


def test_predicted_memory_is_what_the_real_allocator_gives(cuda: noop_cuda.NoopCuda) -> None:
    cases = [case for case in sample(60) if case["preset"].endswith((":tiny", ":small"))][:6]
    cases += [
        # A bias of 49 and 196 columns of scores, whose gradient is put in its place by sorting.
        _case("levit:tiny", side=28, batch=8),
        # Products of averaged weights, which ask for no gradient and copy no factors; convolutions
        # whose inputs have their channels innermost.
        _case("cvp:tiny", side=64, batch=32, precision="bf16", recompute="fast"),
        _case("ccp:tiny", side=32, batch=1, precision="bf16"),
        # Patches of one pixel, which are views until they are copied.
        _case("fnet:paper", side=32, batch=8),
        _case("vil-rope:paper", side=32, batch=8),
    ]
    found = [predicted(case) for case in cases]
    truth = list(real(cuda, cases))
    peaks = [abs(one.peak / other.peak - 1) for one, other in zip(found, truth, strict=True)]
    assert statistics.median(peaks) <= 0.001
    assert max(peaks) <= 0.01
    for one, other in zip(found, truth, strict=True):
        for mine, theirs in ((one.native, other.native), (one.expandable, other.expandable)):
            assert abs(mine - theirs) <= max(0.03 * theirs, SEGMENT_STEP_BYTES)
    budgets = [int(1.03 * one.native) for one in found]
    assert all(trained(cuda, cases, budgets, Segments.NATIVE))


def _case(name: str, **more: Any) -> dict[str, Any]:
    case = {"precision": "fp32", "recompute": "none", "limit": None, "micro_batch": more["batch"]}
    return {"preset": name, **case, **more}


@pytest.mark.parametrize(
    ("count", "keys", "size"),
    # As torch's allocator was seen to be asked for.
    [(49, 196, 1), (2401, 196, 3583), (9604, 784, 161_791), (38416, 392, 630_783)],
)
def test_sorting_takes_what_cub_asks_for(count: int, keys: int, size: int) -> None:
    assert sorting_bytes(count, keys) == size


def test_a_sample_holds_every_preset_and_every_way_to_compute() -> None:
    cases = sample(len(all_presets()) * 2)
    assert {case["preset"] for case in cases} == set(all_presets())
    ways = {(case["precision"], case["recompute"]) for case in cases}
    assert ways == {cell[:2] for cell in CELLS}
