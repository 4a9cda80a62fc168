from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vixtui.errors import UsageError
from vixtui.hardware.machine import Backend, Figure, Gpu, Machine
from vixtui.planning.budget import resolve_budget

GB = 10**9
ALWAYS_NOW = float("inf")
MACHINE = Machine(
    cpu="Test",
    cores=2,
    ram_total=Figure(16 * GB, "psutil"),
    ram_free=Figure(10 * GB, "cgroup v2 memory.max less usage", read_at=ALWAYS_NOW),
    disk_free=Figure(100 * GB, "file system"),
    gpus=(),
    notes=(),
)


def gpu(index: int, free: int) -> Gpu:
    return Gpu(
        index=index,
        uuid=f"GPU-{index}",
        name="Test GPU",
        total=Figure(24 * GB, "nvml"),
        free=Figure(free, "nvml"),
    )


TWO_GPUS = replace(MACHINE, gpus=(gpu(0, 6 * GB), gpu(1, 20 * GB)))


def test_without_a_wish_most_of_free_ram_and_its_source() -> None:
    budget = resolve_budget(MACHINE)
    assert (budget.device, budget.bytes) == ("cpu", 8 * GB)
    assert budget.source == "80 % of 10.0 GB free now by cgroup v2 memory.max less usage"


def test_free_memory_not_total_is_what_a_percentage_is_of() -> None:
    assert resolve_budget(MACHINE, "50%").bytes == 5 * GB
    assert resolve_budget(TWO_GPUS, "50%").bytes == 10 * GB


@pytest.mark.parametrize(
    ("text", "amount"), [("4GB", 4 * GB), ("3.5GiB", int(3.5 * 2**30)), ("800MB", 800 * 10**6)]
)
def test_amounts_are_taken_as_given(text: str, amount: int) -> None:
    assert resolve_budget(MACHINE, text).bytes == amount


def test_more_than_is_free_is_allowed_and_said() -> None:
    budget = resolve_budget(MACHINE, "40GB")
    assert budget.bytes == 40 * GB
    assert budget.source.startswith("40GB given, more than 10.0 GB free now")


@pytest.mark.parametrize("text", ["", "4", "GB", "-1GB", "0GB", "101%", "four", "4GB;rm"])
def test_unreadable_amount_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        resolve_budget(MACHINE, text)


def test_roomiest_gpu_is_chosen_and_never_summed() -> None:
    budget = resolve_budget(TWO_GPUS)
    assert (budget.device, budget.bytes) == ("cuda:GPU-1", 18 * GB)


@pytest.mark.parametrize("device", ["cuda:0", "cuda:GPU-0", "GPU-0"])
def test_gpu_by_index_or_uuid(device: str) -> None:
    assert resolve_budget(TWO_GPUS, device=device).device == "cuda:GPU-0"


def test_cpu_can_be_asked_for() -> None:
    assert resolve_budget(TWO_GPUS, device="cpu").device == "cpu"


def test_full_gpu_is_left_alone() -> None:
    crowded = replace(MACHINE, gpus=(gpu(0, 10**8),))
    assert resolve_budget(crowded).device == "cpu"
    assert resolve_budget(crowded, device="cuda").device == "cuda:GPU-0"


def test_memory_shared_with_the_system_leaves_it_as_much_as_on_the_cpu() -> None:
    shared = replace(MACHINE, gpus=(replace(gpu(0, 10 * GB), shared=True),))
    assert resolve_budget(shared).bytes == 8 * GB


@pytest.mark.parametrize("backend", ["mps", "rocm", "xpu"])
def test_a_gpu_that_is_not_nvidias_is_used_when_asked_for(backend: Backend) -> None:
    other = replace(gpu(0, 6 * GB), backend=backend, uuid="")
    machine = replace(MACHINE, gpus=(other,))
    assert resolve_budget(machine).device == "cpu"
    assert resolve_budget(machine, device=backend).device == other.device


def test_a_figure_that_has_grown_old_is_not_called_one_of_now() -> None:
    old = Figure(10 * GB, "psutil", read_at=time.time() - 200)
    budget = resolve_budget(replace(MACHINE, ram_free=old))
    assert budget.source == "80 % of 10.0 GB free 3:20 ago by psutil"


@pytest.mark.parametrize("device", ["cuda", "cuda:2", "gpu", "", "mps"])
def test_unknown_device_names_those_there_are(device: str) -> None:
    machine = MACHINE if device == "cuda" else TWO_GPUS
    with pytest.raises(UsageError, match="use cpu"):
        resolve_budget(machine, device=device)


@given(st.floats(0.01, 100, allow_nan=False))
def test_a_percentage_never_exceeds_what_is_free(percent: float) -> None:
    assert 0 <= resolve_budget(MACHINE, f"{percent:.2f}%").bytes <= MACHINE.ram_free.bytes
