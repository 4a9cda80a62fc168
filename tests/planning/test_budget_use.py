"""What a plan leaves of the budget would not make it faster, by the shipped figures themselves.

A larger micro-batch helps if it fits the budget and an update is predicted to take less time.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from vixtui.planning.experience import Correction
from vixtui.planning.needs import PresetNeeds, preset_needs
from vixtui.planning.recommend import Knowledge, consider
from vixtui.planning.search import find_way, levels, precisions, step_seconds, weighed_seconds
from vixtui.planning.speed import Throughput, device_throughput
from vixtui.planning.types import Budget, Question, Task
from vixtui.presets import all_presets, preset

USED = 0.85
names = st.sampled_from(sorted(all_presets()))
tasks = st.builds(
    Task,
    image_height=st.sampled_from([28, 32, 64]),
    image_width=st.sampled_from([28, 32, 64]),
    in_channels=st.sampled_from([1, 3]),
    num_classes=st.sampled_from([2, 10, 100]),
    images=st.integers(1, 10**6),
)
questions = st.builds(
    Question,
    task=tasks,
    budget=st.builds(
        Budget,
        device=st.sampled_from(["cpu", "cuda:GPU-1"]),
        bytes=st.integers(5 * 10**8, 8 * 10**9),
        source=st.just("test"),
    ),
    batch_size=st.integers(1, 128),
)


def throughput_of(question: Question) -> Throughput:
    return device_throughput(question.budget.device, 2)


def needs_of(name: str, question: Question) -> PresetNeeds:
    return preset_needs(name, question.task, question.step_images, (), on_cpu=question.on_cpu)


@settings(max_examples=100)
@given(names, questions, st.floats(0.8, 1.5))
def test_no_plan_is_over_the_budget(name: str, question: Question, ratio: float) -> None:
    knowledge = Knowledge(
        accuracies={},
        speeds=(),
        throughput=throughput_of(question),
        correction=Correction(ratio=ratio, runs=1),
    )
    try:
        plan = consider(preset(name), question, knowledge)
    except ValueError:  # not for such pictures
        return
    assert plan.peak_bytes <= question.budget.bytes or not plan.fits


@settings(max_examples=100)
@given(names, questions, st.floats(0, 1.1))
def test_what_is_left_of_the_budget_makes_no_micro_batch_faster(
    name: str, question: Question, share: float
) -> None:
    try:
        found = needs_of(name, question)
    except ValueError:
        return
    throughput, allowed_levels = throughput_of(question), levels(found, question)
    kinds = precisions(question, throughput)
    every = [
        found.at(micro_batch, precision, recompute)
        for micro_batch in range(1, question.step_images + 1)
        for choices in kinds
        for precision in choices
        for recompute in allowed_levels
    ]
    least = min(way.peak_bytes for way in every)
    budget = least + share * (found.whole("fp32", "none").peak_bytes - least)
    plan = find_way(found, question, budget, throughput)
    fitting = [way for way in every if way.peak_bytes <= budget]
    if not fitting:
        assert plan.peak_bytes == least
        return

    assert plan.peak_bytes <= budget
    larger = [
        way
        for way in fitting
        if (way.precision, way.recompute) == (plan.precision, plan.recompute)
        and way.micro_batch > plan.micro_batch
    ]
    if plan.peak_bytes < USED * budget:
        seconds = step_seconds(plan, throughput)
        assert all(step_seconds(way, throughput) >= seconds for way in larger)
    # Nor is there a better one among all precisions and levels of recomputing.
    first = next(choices for choices in kinds if any(way.precision in choices for way in fitting))
    rivals = [way for way in fitting if way.precision in first]
    assert weighed_seconds(plan, throughput) == min(
        weighed_seconds(way, throughput) for way in rivals
    )
