"""The measurement of this machine's speed, and what ``vixtui bench`` makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from math import inf

import pytest
import torch

from vixtui.engine import bench
from vixtui.hardware.calibration import Rates, read_calibration
from vixtui.hardware.host import cpu_name, usable_cores
from vixtui.memory.cost import StepCost

COST = StepCost(
    parameters=1,
    peak_bytes=1,
    budget_bytes=1,
    flops=10**10,
    moved_bytes=10**9,
    kernels=100,
    function_bytes=10**8,
)
PRODUCTS = Rates(
    threads=1,
    product_flops=1e11,
    convolution_flops=1e11,
    attention_flops=1e11,
    moved_bytes=inf,
    function_bytes=inf,
    kernel_seconds=0.0,
)


def seconds(cost: StepCost, byte: float, kernel: float) -> float:
    plain = cost.moved_bytes + (bench._FUNCTION_FACTOR - 1) * cost.function_bytes
    return PRODUCTS.seconds(cost) + byte * plain + kernel * cost.kernels


def test_memory_and_starting_operations_are_told_apart_by_steps_of_which_either_takes_most() -> (
    None
):
    costs = COST, replace(COST, moved_bytes=10**7, function_bytes=0, kernels=2000, flops=10**8)
    steps = [(cost, seconds(cost, 5e-11, 4e-6)) for cost in costs]
    assert bench._remainder(steps, PRODUCTS) == pytest.approx((5e-11, 4e-6))


def test_steps_faster_than_their_products_still_give_positive_figures() -> None:
    steps = [(COST, 0.001), (replace(COST, kernels=3000), 0.002)]
    assert all(figure > 0 for figure in bench._remainder(steps, PRODUCTS))


def test_a_step_is_a_whole_update_of_weights() -> None:
    step = bench.TrainingStep("fnet:tiny", 16, 4)
    before = [parameter.clone() for parameter in step.learner.model.parameters()]
    step()
    after = list(step.learner.model.parameters())
    assert all(not torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_measuring_leaves_the_number_of_threads_alone() -> None:
    threads = torch.get_num_threads()
    measured = bench.measure_rates(1, 0.01)
    assert {rates.threads for rates in measured} == {1}
    assert torch.get_num_threads() == threads


def test_bench_measures_keeps_and_tells_and_recommend_uses_it() -> None:
    def vixtui(*words: str) -> str:
        command = [sys.executable, "-m", "vixtui", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout

    told = json.loads(vixtui("bench", "--seconds", "0.1", "--json"))
    kept = read_calibration(cpu_name(), usable_cores())
    assert kept is not None
    assert told["torch"] == kept.torch == torch.__version__
    assert len(told["rates"]) == len(kept.rates) > 0
    assert {rates.threads for rates in kept.rates} == {1, usable_cores()}
    assert told["rates"][0]["product_flops"] > 1e8
    plan = json.loads(vixtui("recommend", "--device", "cpu", "--json"))
    assert plan["candidates"][0]["time_basis"].startswith("predicted from a calibration of this")
