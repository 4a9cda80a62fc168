"""The way to compute an update: never more than the budget, and no slower than it has to be.

A made-up cost tells the ways apart: recomputing and bfloat16 need less memory for more time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vixtui.memory import cost as real
from vixtui.memory.cost import StepCost
from vixtui.memory.execution import Execution
from vixtui.planning import needs as needs_module
from vixtui.planning.needs import Need, PresetNeeds, micro_batches, preset_needs
from vixtui.planning.recommend import Knowledge, consider_all, needs
from vixtui.planning.search import find_way, levels, precisions, step_seconds
from vixtui.planning.speed import device_throughput
from vixtui.planning.types import Budget, Question, Task
from vixtui.presets import all_presets

CIFAR = Task(image_height=32, image_width=32, in_channels=3, num_classes=10, images=2000)
BYTES = {"fast": 1.2, "none": 1.0, "mlp": 0.8, "block": 0.5}
SECONDS = {"fast": 0.95, "none": 1.0, "mlp": 1.15, "block": 1.33}
THROUGHPUT = device_throughput("cpu", 1)
KNOWLEDGE = Knowledge(accuracies={}, speeds=(), throughput=THROUGHPUT)
names = st.sampled_from(sorted(all_presets()))
devices = st.sampled_from(["cpu", "cuda:GPU-1"])
batch_sizes = st.integers(1, 8) | st.integers(1, 300)
sides = st.sampled_from([32, 96])
# Between nothing and everything that a way can need.
shares = st.floats(0, 1.1)


def made_up(figures: Any, model: Any, execution: Execution, **batches: int) -> StepCost:
    cost = real.step_cost(figures, model, Execution(execution.backend), **batches)
    weights = 20 * cost.parameters
    share = BYTES[execution.recompute] * (0.7 if execution.precision == "bf16" else 1)
    peak = round(weights + share * (cost.peak_bytes - weights))
    return replace(
        cost,
        peak_bytes=peak,
        budget_bytes=peak,
        flops=round(cost.flops * SECONDS[execution.recompute]),
    )


@pytest.fixture(autouse=True)
def ways_differ(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(needs_module, "step_cost", made_up)
    preset_needs.cache_clear()
    yield
    preset_needs.cache_clear()


def asked(device: str, *, batch_size: int = 64, side: int = 32, **fixed: Any) -> Question:
    return Question(
        task=replace(CIFAR, image_height=side, image_width=side),
        budget=Budget(device=device, bytes=0, source="test"),
        batch_size=batch_size,
        **fixed,
    )


def needs_of(name: str, question: Question) -> PresetNeeds:
    return preset_needs(name, question.task, question.step_images, (), on_cpu=question.on_cpu)


def amount(found: PresetNeeds, question: Question, share: float) -> int:
    """Return a budget between what the smallest and the largest way needs."""
    every = [kind for choices in precisions(question) for kind in choices]
    least = found.smallest(every, levels(found, question)).peak_bytes
    return round(least + share * (found.whole("fp32", "none").peak_bytes - least)) - 1


def planned(name: str, question: Question, share: float) -> tuple[PresetNeeds, int, Need]:
    """Return the needs of a preset, a budget, see `amount`, and the way that is chosen for it."""
    found = needs_of(name, question)
    allowed = amount(found, question, share)
    return found, allowed, find_way(found, question, allowed, THROUGHPUT)


@settings(max_examples=150)
@given(names, devices, batch_sizes, sides, shares)
def test_a_way_never_needs_more_than_the_budget(
    name: str, device: str, batch_size: int, side: int, share: float
) -> None:
    question = asked(device, batch_size=batch_size, side=side)
    found, allowed, need = planned(name, question, share)
    every = [
        found.at(micro_batch, precision, recompute)
        for micro_batch in micro_batches(question.step_images)
        for choices in precisions(question)
        for precision in choices
        for recompute in levels(found, question)
    ]
    fits = need.peak_bytes <= allowed
    assert fits == any(way.peak_bytes <= allowed for way in every)
    if not fits:
        assert need.peak_bytes == min(way.peak_bytes for way in every)


@settings(max_examples=100)
@given(names, devices, batch_sizes, sides, shares)
def test_no_larger_micro_batch_that_saves_a_pass_would_fit(
    name: str, device: str, batch_size: int, side: int, share: float
) -> None:
    question = asked(device, batch_size=batch_size, side=side)
    found, allowed, need = planned(name, question, share)
    if need.peak_bytes > allowed:
        return
    for larger in range(need.micro_batch + 1, question.step_images + 1):
        more = found.at(larger, need.precision, need.recompute)
        assert more.peak_bytes > allowed or more.passes == need.passes


@settings(max_examples=100)
@given(names, devices, sides, shares)
def test_where_a_larger_micro_batch_would_help_the_budget_is_used(
    name: str, device: str, side: int, share: float
) -> None:
    """With 512 pictures a pass more or less is a small step, so little may be left over."""
    question = asked(device, batch_size=512, side=side)
    _, allowed, need = planned(name, question, share)
    if need.peak_bytes <= allowed and need.passes > 6:
        assert need.peak_bytes >= 0.85 * allowed


@settings(max_examples=100)
@given(names, devices, batch_sizes, sides, shares)
def test_no_way_that_fits_is_much_faster(
    name: str, device: str, batch_size: int, side: int, share: float
) -> None:
    question = asked(device, batch_size=batch_size, side=side)
    found, allowed, need = planned(name, question, share)
    if need.peak_bytes > allowed or (device == "cpu" and need.precision == "bf16"):
        return
    for micro_batch in micro_batches(question.step_images):
        for precision in ("auto", "fp32"):
            for recompute in levels(found, question):
                way = found.at(micro_batch, precision, recompute)
                if way.peak_bytes <= allowed:
                    assert step_seconds(need, THROUGHPUT) < 1.2 * step_seconds(way, THROUGHPUT)


@settings(max_examples=60)
@given(names, devices, sides, shares, shares)
def test_more_budget_is_never_slower(
    name: str, device: str, side: int, one: float, two: float
) -> None:
    question = asked(device, side=side, precision="fp32", recompute="none")
    found = needs_of(name, question)
    less, more = (
        find_way(found, question, amount(found, question, share), THROUGHPUT)
        for share in sorted((one, two))
    )
    assert step_seconds(more, THROUGHPUT) <= step_seconds(less, THROUGHPUT) or less.passes == 1


def test_the_whole_batch_without_recomputing_is_taken_when_it_fits() -> None:
    question = asked("cpu")
    need = find_way(needs_of("hybrid-vin:tiny", question), question, 10**12, THROUGHPUT)
    assert (need.micro_batch, need.precision, need.recompute) == (64, "auto", "none")


def test_performer_keeps_its_features_when_there_is_room_for_them() -> None:
    question = asked("cpu", batch_size=1, precision="fp32")  # of which no part would fit either
    found = needs_of("vip:tiny", question)
    assert find_way(found, question, 10**12, THROUGHPUT).recompute == "fast"
    just = found.whole("fp32", "none").peak_bytes
    assert find_way(found, question, just, THROUGHPUT).recompute == "none"


def test_a_micro_batch_need_not_be_a_power_of_two() -> None:
    question = asked("cuda:GPU-1", precision="fp32", recompute="none")
    found = needs_of("vit:base", question)
    allowed = found.at(31, "fp32", "none").peak_bytes
    assert find_way(found, question, allowed, THROUGHPUT).micro_batch == 22
    assert micro_batches(64)[-4:] == [16, 22, 32, 64]


def test_recomputing_is_the_way_where_not_even_one_picture_fits_without() -> None:
    question = asked("cuda:GPU-1", side=96)
    found = needs_of("vit:base", question)
    allowed = found.at(1, "bf16", "mlp").peak_bytes - 1
    assert find_way(found, question, allowed, THROUGHPUT).recompute == "block"


def test_what_the_user_fixes_stays() -> None:
    question = asked("cuda:GPU-1", precision="bf16", recompute="mlp")
    found = needs_of("vit:base", question)
    for allowed in (0, found.at(8, "bf16", "mlp").peak_bytes, 10**12):
        need = find_way(found, question, allowed, THROUGHPUT)
        assert (need.precision, need.recompute) == ("bf16", "mlp")


def test_automatic_precision_has_room_for_both() -> None:
    question = asked("cpu")
    found = needs_of("vit:tiny", question)
    both = [found.at(16, kind, "none").peak_bytes for kind in ("fp32", "bf16")]
    assert found.at(16, "auto", "none").peak_bytes == max(both)


def test_on_a_cpu_bfloat16_alone_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs_module, "cpu_bytes", lambda cost, *_, **__: cost.peak_bytes)
    question = asked("cpu", side=512)
    found = needs_of("vin:tiny", question)
    least = found.smallest(("fp32",), ("none", "mlp", "block")).peak_bytes
    assert find_way(found, question, least, THROUGHPUT).precision != "bf16"
    assert find_way(found, question, least - 1, THROUGHPUT).precision == "bf16"


def test_moving_the_budget_works_out_little_and_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    costs: list[Execution] = []

    def counted(figures: Any, model: Any, execution: Execution, **batches: int) -> StepCost:
        costs.append(execution)
        return made_up(figures, model, execution, **batches)

    monkeypatch.setattr(needs_module, "step_cost", counted)
    question, presets = asked("cpu", side=96), len(all_presets())

    def move(amount: int) -> int:
        before, budget = len(costs), replace(question.budget, bytes=amount)
        assert len(list(consider_all(replace(question, budget=budget), KNOWLEDGE))) == presets
        return (len(costs) - before) // presets

    assert move(64 * 10**9) <= 6  # all fits in one pass
    assert all(move(amount * 10**8) <= 25 for amount in (40, 20, 12, 9))
    assert [move(amount * 10**8) for amount in (640, 40, 20, 12, 9)] == [0] * 5


def test_needs_are_those_of_the_search() -> None:
    question = asked("cuda:GPU-1", side=96)
    found = needs_of("vin:tiny", question)
    for need in needs("vin", question):
        assert need == found.at(need.micro_batch, need.precision, need.recompute)


def test_bfloat16_is_no_last_resort_on_a_cpu_whose_speed_in_it_is_known() -> None:
    question = asked("cpu", side=96)
    assert [len(choices) for choices in precisions(question, THROUGHPUT)] == [2, 1]
    (rates,) = THROUGHPUT.ways
    known = replace(THROUGHPUT, ways=(rates, replace(rates, precision="bf16")))
    assert [len(choices) for choices in precisions(question, known)] == [3]
