"""How long a step takes: predicted by default, from a calibration, or measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_machine import GB, MACHINE

from vixtui.hardware.calibration import Calibration, Rates, write_calibration
from vixtui.memory.cost import StepCost, step_cost
from vixtui.memory.execution import Execution
from vixtui.memory.figures import read_figures
from vixtui.planning.recommend import candidate
from vixtui.planning.speed import (
    MeasuredSpeed,
    Throughput,
    corrected,
    device_throughput,
    machine_throughput,
)
from vixtui.planning.types import Budget, Question, Task

QUESTION = Question(
    task=Task(image_height=32, image_width=32, in_channels=3, num_classes=10, images=2000),
    budget=Budget(device="cpu", bytes=8 * GB, source="test"),
)
ONE = Rates(
    threads=1,
    product_flops=1e11,
    convolution_flops=2e11,
    attention_flops=5e10,
    moved_bytes=2e10,
    function_bytes=5e9,
    kernel_seconds=5e-6,
)
CALIBRATION = Calibration(
    torch="2.14.1", cpu="Test", cores=2, measured_at=1_790_000_000.0, rates=(ONE,)
)
COST = StepCost(
    parameters=1,
    peak_bytes=1,
    budget_bytes=1,
    flops=18 * 10**9,
    convolution_flops=6 * 10**9,
    attention_flops=2 * 10**9,
    moved_bytes=3 * 10**9,
    function_bytes=10**9,
    kernels=1000,
)


def calibrated(*rates: Rates) -> Throughput:
    return device_throughput("cpu", 2, replace(CALIBRATION, rates=rates))


def test_each_kind_of_work_takes_its_own_time() -> None:
    expected = 10 / 100 + 6 / 200 + 2 / 50 + 2 / 20 + 1 / 5 + 1000 * 5e-6
    assert calibrated(ONE).step_seconds(COST) == pytest.approx(expected)


def test_as_many_threads_as_are_fastest_count() -> None:
    two = replace(ONE.times(1.5), threads=2)
    busy = replace(ONE.times(0.1), threads=2)
    alone = calibrated(ONE).step_seconds(COST)
    assert calibrated(ONE, two).step_seconds(COST) == pytest.approx(alone / 1.5)
    assert calibrated(ONE, busy).step_seconds(COST) == alone


def test_bfloat16_counts_where_it_was_measured() -> None:
    narrow = replace(ONE.times(2), precision="bf16")
    both = calibrated(ONE, narrow)
    alone = calibrated(ONE).step_seconds(COST)
    assert both.step_seconds(COST) == alone
    assert both.step_seconds(COST, "bf16") == pytest.approx(alone / 2)
    assert calibrated(ONE).step_seconds(COST, "bf16") == alone
    assert both.knows("bf16")
    assert not calibrated(ONE).knows("bf16")


def test_without_a_calibration_the_default_is_told_with_its_figures() -> None:
    assumed = machine_throughput("cpu", MACHINE)
    assert assumed.basis == (
        "predicted: 100 GFLOP/s, 10 GB/s a core (default; vixtui bench measures it)"
    )
    assert assumed == device_throughput("cpu", MACHINE.cores)
    assert not assumed.knows("bf16")


def test_a_calibration_of_this_machine_is_used_and_named_with_its_day() -> None:
    write_calibration(CALIBRATION)
    found = machine_throughput("cpu", MACHINE)
    assert found.ways == (ONE,)
    assert found.basis == f"predicted from a calibration of this machine, {CALIBRATION.date}"
    assert machine_throughput("cpu", replace(MACHINE, cpu="Other")).ways != (ONE,)
    assert "not measured on a GPU" in machine_throughput("cuda:GPU-1", MACHINE).basis


def test_plans_tell_that_their_time_comes_from_the_calibration() -> None:
    before = candidate("vit:tiny", QUESTION, MACHINE)
    write_calibration(replace(CALIBRATION, rates=(ONE.times(100),)))
    after = candidate("vit:tiny", QUESTION, MACHINE)
    assert before.time_basis.startswith("predicted: ")
    assert after.time_basis.startswith("predicted from a calibration of this machine, 2026-")
    assert after.seconds_per_epoch < before.seconds_per_epoch / 10


def test_the_engine_is_expected_to_choose_bfloat16_only_where_it_is_worth_it() -> None:
    seconds = {}
    for factor in (1.02, 4):
        narrow = replace(ONE.times(factor), precision="bf16")
        write_calibration(replace(CALIBRATION, rates=(ONE, narrow)))
        seconds[factor] = candidate("vit:tiny", QUESTION, MACHINE).seconds_per_epoch
    write_calibration(CALIBRATION)
    plain = candidate("vit:tiny", QUESTION, MACHINE).seconds_per_epoch
    assert seconds[1.02] == plain
    assert seconds[4] < plain / 3


def test_a_run_corrects_the_prediction_for_the_way_it_computed() -> None:
    model = candidate("vit:tiny", QUESTION, MACHINE).model
    figures = read_figures().presets
    both = calibrated(ONE, replace(ONE.times(2), precision="bf16"))
    cost = step_cost(
        figures["vit:tiny"], model, Execution("cpu", "bf16"), micro_batch=64, batch_size=64
    )
    speed = MeasuredSpeed(
        run="a",
        device="cpu",
        preset="vit:tiny",
        model=model,
        batch_size=64,
        micro_batch=64,
        images_per_second=64 / both.step_seconds(cost, "bf16"),
        precision="bf16",
    )
    assert corrected(both, [speed], figures).step_seconds(COST) == pytest.approx(
        both.step_seconds(COST)
    )
    slower = replace(speed, images_per_second=speed.images_per_second / 2)
    assert corrected(both, [slower], figures).step_seconds(COST) == pytest.approx(
        2 * both.step_seconds(COST)
    )
