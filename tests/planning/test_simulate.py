from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vixtui.errors import UsageError
from vixtui.memory.cost import StepCost
from vixtui.planning.simulate import SimulatedGpu, parse_gpu, simulated_budget
from vixtui.planning.speed import simulated_throughput

GB = 10**9


@pytest.mark.parametrize(
    ("text", "gpu"),
    [
        ("RTX 3050 4GB", SimulatedGpu("RTX 3050", 4 * GB)),
        ("RTX 3050, 4 GB", SimulatedGpu("RTX 3050", 4 * GB)),
        ("mygpu:6GiB:20", SimulatedGpu("mygpu", 6 * 2**30, 20)),
        ("mygpu:6442450944:20", SimulatedGpu("mygpu", 6 * 2**30, 20)),
        ("mygpu:6442450944", SimulatedGpu("mygpu", 6 * 2**30)),
        ("mygpu:6GiB", SimulatedGpu("mygpu", 6 * 2**30)),
        ("some old card 1.5GB 12 SMs", SimulatedGpu("some old card", 1.5 * GB, 12)),
        ("800MB", SimulatedGpu("GPU", 800 * 10**6)),
        ("A100 80GB", SimulatedGpu("A100", 80 * GB)),
    ],
)
def test_a_gpu_is_any_text_and_an_amount(text: str, gpu: SimulatedGpu) -> None:
    assert parse_gpu(text) == gpu


@pytest.mark.parametrize("text", ["RTX 3060", "rtx3060", "NVIDIA GeForce RTX 3060", " RTX-3060 "])
def test_a_common_card_alone_stands_for_its_nominal_memory(text: str) -> None:
    assert parse_gpu(text).bytes == 12 * GB
    assert parse_gpu(text).multiprocessors is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a fast one",
        "RTX 9999",
        "mygpu:0GB",
        "mygpu:6GiB:0",
        "mygpu:6GiB:9999",
        "mygpu:20",
        "x 50%",
    ],
)
def test_what_describes_no_gpu_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--simulate"):
        parse_gpu(text)


@given(
    st.text(st.characters(categories=["L"]), min_size=1),
    st.integers(1, 9999),
    st.sampled_from(["MB", "GB", "MiB", "GiB"]),
    st.none() | st.integers(1, 1000),
)
def test_a_description_reads_back(name: str, number: int, unit: str, count: int | None) -> None:
    amount = {"MB": 10**6, "GB": GB, "MiB": 2**20, "GiB": 2**30}[unit] * number
    text = f"{name}:{number}{unit}" + ("" if count is None else f":{count}")
    assert parse_gpu(text) == SimulatedGpu(name, amount, count)


def test_a_simulated_budget_says_that_it_is_one() -> None:
    gpu = SimulatedGpu("RTX 3050", 4 * GB)
    most = simulated_budget(gpu)
    assert (most.device, most.bytes) == ("simulated", 3.6 * GB)
    assert most.source == "90 % of 4.00 GB nominal (simulated: RTX 3050)"
    assert simulated_budget(gpu, "50%").bytes == 2 * GB
    assert simulated_budget(gpu, "6GB").source.startswith("6GB given, more than 4.00 GB nominal")


def test_more_multiprocessors_are_faster_and_nothing_of_it_is_called_measured() -> None:
    cost = StepCost(
        parameters=1, peak_bytes=1, budget_bytes=1, flops=10**12, moved_bytes=10**10, kernels=100
    )
    few, many = simulated_throughput(10), simulated_throughput(100)
    assert many.step_seconds(cost) < few.step_seconds(cost)
    assert simulated_throughput(20).step_seconds(cost) == pytest.approx(
        simulated_throughput(None).step_seconds(cost)
    )
    assert all("not measured on a GPU" in speed.basis for speed in (few, many))
