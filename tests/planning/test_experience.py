"""What earlier runs on this machine teach: how far predictions are off, and what was too much."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vixtui.memory.execution import StepPrecision
from vixtui.models.config import Recompute
from vixtui.planning.experience import NO_CORRECTION, Correction, memory_correction
from vixtui.planning.needs import PresetNeeds, preset_needs
from vixtui.planning.ranking import ranked
from vixtui.planning.recommend import Knowledge, consider
from vixtui.planning.speed import device_throughput
from vixtui.planning.types import Budget, Candidate, Question, Task
from vixtui.presets import preset
from vixtui.runs.lessons import Lesson

MB = 10**6
CIFAR = Task(image_height=96, image_width=96, in_channels=3, num_classes=10, images=2000)
KNOWLEDGE = Knowledge(accuracies={}, speeds=(), throughput=device_throughput("cpu", 1))
BUDGET = 865 * MB


def needs_of(task: Task = CIFAR, *, on_cpu: bool = True) -> PresetNeeds:
    return preset_needs("vit:tiny", task, 64, (), on_cpu=on_cpu)


def lesson(run: str = "run-1", **changes: Any) -> Lesson:
    values: dict[str, Any] = {
        "run": run,
        "device": "cpu",
        "preset": "vit:tiny",
        "model": needs_of().model,
        "images": CIFAR.images,
        "batch_size": 64,
        "micro_batch": 64,
        "precision": "auto",
        "recompute": "none",
        "budget_bytes": BUDGET,
        "peak_bytes": 0,
    }
    return Lesson(**values | changes)


def measured(ratio: float, **changes: Any) -> Lesson:
    """A run whose peak was `ratio` times what is predicted for it."""
    return lesson(peak_bytes=round(ratio * needs_of().at(64, "auto", "none").peak_bytes), **changes)


def ran_out(micro_batch: int, recompute: Recompute = "none", **changes: Any) -> Lesson:
    return lesson(left_micro_batch=micro_batch, left_recompute=recompute, **changes)


def considered(*lessons: Lesson, budget: int = BUDGET, task: Task = CIFAR) -> Candidate:
    question = Question(task=task, budget=Budget(device="cpu", bytes=budget, source="test"))
    knowledge = replace(
        KNOWLEDGE, lessons=lessons, correction=memory_correction(lessons, on_cpu=True)
    )
    (found,) = ranked([consider(preset("vit:tiny"), question, knowledge)])
    return found


# --- correction ---


@pytest.mark.parametrize(
    ("ratios", "ratio"),
    [
        ([], 1.0),
        ([1.2], 1.2),
        ([1.1, 1.3, 1.2], 1.2),
        ([0.9], 0.9),
        # Lowered no further than every run confirms.
        ([0.85, 0.9, 0.95], 0.95),
        ([0.85, 0.9, 1.1], 1.0),
        # Never beyond its bounds.
        ([9.0], 1.5),
        ([0.1], 0.8),
    ],
)
def test_the_correction_is_the_median_within_bounds(ratios: list[float], ratio: float) -> None:
    found = memory_correction([measured(entry) for entry in ratios], on_cpu=True)
    assert found.ratio == pytest.approx(ratio, rel=1e-6)
    assert found.runs == len(ratios)


def test_runs_without_a_peak_or_short_of_memory_correct_nothing() -> None:
    lessons = [lesson(), measured(1.3, left_micro_batch=16), measured(1.3, preset="gone:tiny")]
    assert memory_correction(lessons, on_cpu=True) == NO_CORRECTION


def test_a_corrected_prediction_says_so_and_keeps_the_uncorrected_one() -> None:
    before, after = considered(), considered(measured(1.2))
    assert after.peak_bytes == pytest.approx(1.2 * after.uncorrected_bytes, abs=1)
    assert after.peak_basis == f"{before.peak_basis}; corrected by 1 run on this machine, × 1.20"
    assert after.peak_bytes <= BUDGET
    assert after.micro_batch < before.micro_batch


def test_what_a_corrected_plan_measures_is_compared_with_the_uncorrected_prediction() -> None:
    first = considered(measured(1.2), budget=10**10)
    again = lesson(run="run-2", micro_batch=first.micro_batch, peak_bytes=first.peak_bytes)
    assert memory_correction([again], on_cpu=True).ratio == pytest.approx(1.2, rel=1e-6)


def test_on_a_gpu_allocated_is_compared_with_allocated_and_the_context_left_alone() -> None:
    need = needs_of(on_cpu=False).at(64, "auto", "none")
    allocated = max(cost.peak_bytes for cost in need.costs)
    run = lesson(device="cuda:GPU-1", peak_bytes=round(1.1 * allocated))
    found = memory_correction([run], on_cpu=False)
    assert found.ratio == pytest.approx(1.1, rel=1e-6)
    grown = found.applied(need.peak_bytes) - need.peak_bytes
    assert grown == pytest.approx(0.1 * (need.peak_bytes - found.fixed_bytes), abs=2)


@pytest.mark.parametrize("ratio", [0.8, 0.93, 1.0, 1.31, 1.5])
def test_what_is_allowed_fits_once_corrected(ratio: float) -> None:
    correction = Correction(ratio, 1, 512 * 2**20)
    for budget in (10**9, 123_456_789_012):
        assert correction.applied(int(correction.allowed(budget))) <= budget


# --- memory that ran out ---


def test_a_run_that_ran_out_lowers_the_micro_batch_next_time() -> None:
    before, after = considered(), considered(ran_out(8))
    assert before.micro_batch > 8
    assert after.peak_bytes <= needs_of().at(8, "auto", "none").peak_bytes
    assert after.micro_batch <= 8
    assert after.remembered == "memory ran out in run run-1"
    assert before.remembered == ""


def test_what_ran_out_in_an_unknown_precision_leaves_room_for_no_more_pictures_in_any() -> None:
    limit = needs_of().at(8, "fp32", "none").peak_bytes
    assert considered(ran_out(8)).peak_bytes <= limit < needs_of().at(8, "auto", "none").peak_bytes


def test_a_larger_budget_is_tried_anew() -> None:
    assert considered(ran_out(8), budget=round(1.1 * BUDGET)).remembered == ""
    assert considered(ran_out(8), budget=BUDGET - 1).micro_batch <= 8


def test_a_little_more_free_memory_than_last_time_is_no_larger_budget() -> None:
    assert considered(ran_out(8), budget=round(1.02 * BUDGET)).micro_batch <= 8


def test_another_model_or_preset_is_not_held_back() -> None:
    other_preset = ran_out(8, preset="vin:tiny")
    smaller = replace(CIFAR, image_height=32, image_width=32)
    other_model = ran_out(8, model=needs_of(smaller).model)
    assert considered(other_preset, other_model) == considered()
    more_classes = replace(needs_of().model, num_classes=20)
    assert considered(ran_out(8, model=more_classes)).micro_batch <= 8


def test_what_a_later_run_did_in_the_same_budget_is_possible_again() -> None:
    later = measured(1.0, run="run-2", micro_batch=16)
    assert considered(later, ran_out(8)).remembered == ""
    roomier = replace(later, budget_bytes=2 * BUDGET)
    assert considered(roomier, ran_out(8)).micro_batch <= 8


def test_what_ran_out_in_the_smallest_way_does_not_fit() -> None:
    found = considered(ran_out(1, "block", given_up=True))
    assert not found.fits
    assert found.reason == "memory ran out in run run-1"
    assert considered(ran_out(1, "block", given_up=True), budget=2 * BUDGET).fits


def test_a_limit_that_changes_nothing_is_not_mentioned() -> None:
    # A run that went on in the precision that takes more, with as much as is planned anyway.
    kinds: tuple[StepPrecision, ...] = ("fp32", "bf16")
    most = max(kinds, key=lambda kind: needs_of().at(64, kind, "none").peak_bytes)
    assert considered(ran_out(64, precision=most), budget=BUDGET).remembered == ""


@settings(max_examples=60)
@given(
    st.integers(520 * MB, 3000 * MB),
    st.floats(0.5, 2),
    st.none() | st.tuples(st.sampled_from([1, 4, 16, 64]), st.sampled_from(["none", "block"])),
)
def test_whatever_was_learned_a_plan_never_exceeds_its_budget(
    budget: int, ratio: float, left: tuple[int, Recompute] | None
) -> None:
    lessons = [measured(ratio, run="run-2", micro_batch=1)]
    if left is not None:
        lessons.append(ran_out(*left))
    found = considered(*lessons, budget=budget)
    assert not found.fits or found.peak_bytes <= budget
    assert found.fits or found.remembered or found.peak_bytes > budget


def test_a_changed_model_corrects_no_preset() -> None:
    changed = replace(needs_of().model, dropout=0.1)
    assert memory_correction([measured(1.2, model=changed)], on_cpu=True) == NO_CORRECTION
