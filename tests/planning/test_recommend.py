from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_machine import GB, MACHINE

from vixtui.errors import UsageError
from vixtui.memory.figures import read_figures
from vixtui.planning.accuracy import Measurement
from vixtui.planning.ranking import ranked, shortlist
from vixtui.planning.recommend import (
    Knowledge,
    candidate,
    consider,
    consider_all,
    largest_pictures_that_fit,
    needs,
    recommend,
)
from vixtui.planning.speed import MeasuredSpeed, corrected, device_throughput
from vixtui.planning.types import Budget, Candidate, Question, Task
from vixtui.presets import preset

CIFAR = Task(image_height=32, image_width=32, in_channels=3, num_classes=10, images=2000)
KNOWLEDGE = Knowledge(
    accuracies={},
    speeds=(),
    throughput=device_throughput("cpu", 1),
)
PRESETS = sorted(read_figures().presets)
# Many where it matters: between the smallest and the largest micro-batch of small models.
budgets = st.integers(420 * 10**6, 920 * 10**6) | st.integers(100 * 10**6, 64 * GB)
devices = st.sampled_from(["cpu", "cuda:GPU-1"])


def cpu(amount: int) -> Budget:
    return Budget(device="cpu", bytes=amount, source="test")


def measured(name: str, top1: float) -> Measurement:
    return Measurement(
        preset=name,
        top1=top1,
        data="some pictures",
        image_size=32,
        seconds=100,
        threads=1,
        date="2026-11-22",
        vixtui="0.1.0",
    )


def considered(
    name: str,
    amount: int = 4 * GB,
    *,
    batch_size: int = 64,
    task: Task = CIFAR,
    knowledge: Knowledge = KNOWLEDGE,
) -> Candidate:
    question = Question(task=task, budget=cpu(amount), batch_size=batch_size)
    return consider(preset(name), question, knowledge)


def test_every_preset_is_answered_for() -> None:
    found = recommend(Question(task=CIFAR, budget=cpu(4 * GB)), MACHINE)
    assert {entry.preset for entry in found} == set(PRESETS)


@settings(max_examples=15, deadline=None)
@given(devices, budgets, budgets)
def test_more_budget_never_loses_a_candidate(device: str, one: int, two: int) -> None:
    less, more = (
        {
            entry.preset
            for entry in consider_all(
                Question(task=CIFAR, budget=Budget(device=device, bytes=amount, source="test")),
                KNOWLEDGE,
            )
            if entry.fits
        }
        for amount in sorted((one, two))
    )
    assert less <= more


def test_needs_are_told_for_every_level_precision_and_micro_batch() -> None:
    found = needs("vit:tiny", Question(task=replace(CIFAR, images=48), budget=cpu(1)))
    ways = {(need.recompute, need.precision) for need in found}
    assert ways == {(r, p) for r in ("none", "mlp", "block") for p in ("fp32", "bf16")}
    for way in ways:
        column = [need for need in found if (need.recompute, need.precision) == way]
        assert [need.micro_batch for need in column] == [1, 2, 4, 8, 16, 32, 48]
        assert [need.passes for need in column] == [48, 24, 12, 6, 3, 2, 1]
    assert {need.recompute for need in needs("vip", Question(task=CIFAR, budget=cpu(1)))} == {
        "fast",
        "none",
        "mlp",
        "block",
    }


def test_needs_of_what_cannot_be_are_a_usage_error() -> None:
    question = Question(task=replace(CIFAR, image_height=600, image_width=600), budget=cpu(GB))
    with pytest.raises(UsageError, match=r"vit:tiny cannot take these pictures.*--for"):
        needs("vit", question)
    with pytest.raises(UsageError, match=r"no preset.*--for"):
        needs("vitt", question)


def test_the_plain_vit_is_shown_wherever_it_ranks() -> None:
    better = {name: measured(name, 0.9) for name in PRESETS if not name.startswith("vit:")}
    knowledge = replace(KNOWLEDGE, accuracies={**better, "vit:tiny": measured("vit:tiny", 0.3)})
    question = Question(task=CIFAR, budget=cpu(32 * GB))
    found = ranked(consider_all(question, knowledge))
    listed = shortlist(found, 3)
    assert listed[:3] == found[:3]
    assert [entry.preset for entry in listed[3:]] == ["vit:tiny"]
    assert listed[3].reason.startswith("−60.0 points")
    first = next(n for n, entry in enumerate(found) if entry.preset == "vit:tiny")
    assert shortlist(found, first + 1) == found[: first + 1]


def test_a_plain_vit_that_does_not_fit_is_shown_with_what_it_needs() -> None:
    question = Question(task=CIFAR, budget=cpu(32 * GB))
    (vit,) = ranked([considered("vit:tiny", 10**6)])
    others = [e for e in consider_all(question, KNOWLEDGE) if not e.preset.startswith("vit:")]
    listed = shortlist(ranked([vit, *others]), 3)
    assert listed[-1] == vit
    assert listed[-1].reason.startswith("needs ")


def test_where_nothing_fits_the_largest_pictures_that_would() -> None:
    task = replace(CIFAR, image_height=512, image_width=512, images=200)
    question = Question(task=task, budget=cpu(7 * GB // 10))
    names = [entry.preset for entry in consider_all(question, KNOWLEDGE)]
    assert not any(entry.fits for entry in consider_all(question, KNOWLEDGE))
    found = largest_pictures_that_fit(question, names, KNOWLEDGE)
    assert found is not None
    side, name = found
    smaller = replace(task, image_height=side, image_width=side)
    assert considered(name, 7 * GB // 10, task=smaller).fits
    assert largest_pictures_that_fit(replace(question, budget=cpu(10**6)), names, KNOWLEDGE) is None


def test_the_batch_is_no_larger_than_the_data() -> None:
    found = considered("vit:tiny", task=replace(CIFAR, images=5))
    assert (found.batch_size, found.micro_batch) == (5, 5)


@pytest.mark.parametrize("images", [0, 1])
def test_next_to_no_pictures_are_survived(images: int) -> None:
    assert considered("vit:tiny", task=replace(CIFAR, images=images)).batch_size == 1


def test_what_does_not_fit_comes_last_and_says_what_it_needs() -> None:
    least = [entry.peak_bytes for entry in recommend(Question(task=CIFAR, budget=cpu(1)), MACHINE)]
    found = recommend(Question(task=CIFAR, budget=cpu(least[len(least) // 2])), MACHINE)
    fitting = [entry.fits for entry in found]
    assert fitting == sorted(fitting, reverse=True)
    misses = [entry for entry in found if not entry.fits]
    assert 0 < len(misses) < len(found)
    assert [entry.peak_bytes for entry in misses] == sorted(entry.peak_bytes for entry in misses)
    assert all(entry.reason.startswith("needs ") for entry in misses)


def test_if_nothing_fits_the_nearest_miss_comes_first() -> None:
    found = recommend(Question(task=CIFAR, budget=cpu(10**6)), MACHINE)
    assert not any(entry.fits for entry in found)
    assert found[0].peak_bytes == min(entry.peak_bytes for entry in found)


def test_measured_accuracy_decides_before_speed() -> None:
    accuracies = {
        "hybrid-vin:tiny": measured("hybrid-vin:tiny", 0.5),
        "vit:tiny": measured("vit:tiny", 0.3),
    }
    question = Question(task=CIFAR, budget=cpu(8 * GB), batch_size=64)
    found = ranked(consider_all(question, replace(KNOWLEDGE, accuracies=accuracies)))
    assert [entry.preset for entry in found[:2]] == ["hybrid-vin:tiny", "vit:tiny"]
    assert found[0].reason == "best measured"
    assert found[1].reason.startswith("−20.0 points, ")
    assert found[2].reason.startswith("accuracy not measured, ")
    assert "vixtui 0.1.0" in found[0].accuracy_basis
    rest = [entry.seconds_per_epoch for entry in found[2:] if entry.fits]
    assert rest == sorted(rest)
    assert found[2].accuracy_basis == "not measured"


def test_too_slow_for_the_time_given_goes_behind_what_is_not() -> None:
    question = Question(task=CIFAR, budget=cpu(32 * GB))
    slowest = max(consider_all(question, KNOWLEDGE), key=lambda entry: entry.seconds_per_epoch)
    knowledge = replace(KNOWLEDGE, accuracies={slowest.preset: measured(slowest.preset, 0.99)})
    hurried = replace(question, seconds=2.9 * slowest.seconds_per_epoch)
    found = ranked(consider_all(hurried, knowledge), hurried.seconds)
    too_slow = [3 * entry.seconds_per_epoch > hurried.seconds for entry in found]
    assert too_slow == sorted(too_slow)
    first = found[too_slow.index(True)]
    assert first.preset == slowest.preset  # the best of those by accuracy
    assert first.reason.startswith("too slow for ")


def test_an_earlier_run_of_the_same_model_gives_its_speed() -> None:
    model = considered("vit:tiny").model
    speed = MeasuredSpeed("run-1", "cpu", "vit:tiny", model, 64, 64, 500.0)
    found = considered("vit:tiny", knowledge=replace(KNOWLEDGE, speeds=(speed,)))
    assert found.seconds_per_epoch == CIFAR.images / 500
    assert found.time_basis == "measured in run run-1"


def test_earlier_runs_of_other_models_correct_the_prediction() -> None:
    predicted = considered("vit:tiny")
    rate = CIFAR.images / predicted.seconds_per_epoch
    speed = MeasuredSpeed("run-1", "cpu", "vit:tiny", predicted.model, 64, 64, rate / 2)
    slower = corrected(KNOWLEDGE.throughput, [speed], read_figures().presets)
    found = considered("vin:tiny", knowledge=replace(KNOWLEDGE, throughput=slower))
    before = considered("vin:tiny")
    assert found.seconds_per_epoch == pytest.approx(2 * before.seconds_per_epoch)
    assert found.time_basis == "predicted, corrected by 1 run on this machine"


def test_gpu_figures_say_that_they_were_not_measured() -> None:
    budget = Budget(device="cuda:GPU-1", bytes=8 * GB, source="test")
    found = candidate("vit:tiny", Question(task=CIFAR, budget=budget), MACHINE)
    assert "without a GPU" in found.peak_basis
    assert "not measured on a GPU" in found.time_basis


def test_pictures_that_a_preset_cannot_take_are_a_usage_error() -> None:
    huge = replace(CIFAR, image_height=600, image_width=600)
    with pytest.raises(UsageError, match="vit:tiny cannot take these pictures"):
        candidate("vit:tiny", Question(task=huge, budget=cpu(4 * GB)), MACHINE)
    assert recommend(Question(task=huge, budget=cpu(4 * GB)), MACHINE) == []


def test_unknown_preset_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no preset"):
        candidate("vitt", Question(task=CIFAR, budget=cpu(4 * GB)), MACHINE)


def test_recommend_never_imports_torch() -> None:
    code = """
import sys
from vixtui.hardware.probe import probe
from vixtui.planning.budget import resolve_budget
from vixtui.planning.recommend import recommend
from vixtui.planning.types import Question, Task
task = Task(image_height=32, image_width=32, in_channels=3, num_classes=10, images=100)
machine = probe()
assert recommend(Question(task=task, budget=resolve_budget(machine)), machine)
print({'torch', 'torchvision', 'numpy', 'textual'} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_speed_measured_in_another_way_is_carried_over_as_predicted() -> None:
    name, room = "vit:tiny", 4 * GB
    whole = considered(name, room)
    speed = MeasuredSpeed("run-1", "cpu", name, whole.model, 64, 64, 500.0)
    tight = considered(name, 615 * 10**6)
    assert tight.passes > 1
    found = considered(name, 615 * 10**6, knowledge=replace(KNOWLEDGE, speeds=(speed,)))
    slower = tight.seconds_per_epoch / whole.seconds_per_epoch
    assert found.seconds_per_epoch == pytest.approx(slower * CIFAR.images / 500)
    assert found.time_basis == "predicted from run run-1, which computed in another way"
