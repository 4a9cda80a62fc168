"""From the device a plan names to the one that torch is given."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from vixtui.engine.device import select
from vixtui.errors import UsageError

UUID = "8932f937-d72c-4106-c12f-20bd9faed9f6"


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch):
    """Make torch believe that it has one GPU of a kind."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")

    def make(kind: str, uuid: str = UUID) -> None:
        monkeypatch.setattr(
            torch.accelerator,
            "current_accelerator",
            lambda check_available=False: torch.device(kind),
        )
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
        properties = SimpleNamespace(uuid=uuid)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)

    return make


def test_the_cpu() -> None:
    assert select("cpu") == torch.device("cpu")


def test_an_nvidia_gpu_is_the_only_one_that_cuda_sees(accelerator) -> None:
    accelerator("cuda")
    assert select(f"cuda:GPU-{UUID}") == torch.device("cuda:0")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == f"GPU-{UUID}"


def test_another_gpu_than_planned_is_refused(accelerator) -> None:
    accelerator("cuda", uuid="00000000-0000-0000-0000-000000000001")
    with pytest.raises(UsageError, match="CUDA offers another GPU"):
        select(f"cuda:GPU-{UUID}")


@pytest.mark.parametrize(
    ("name", "kind", "device"),
    [
        ("cuda:MIG-12", "cuda", "cuda:0"), ("rocm:0", "cuda", "cuda:0"), ("xpu:0", "xpu", "xpu:0"),
        ("mps", "mps", "mps:0"),
    ],
)  # fmt: skip
def test_slices_and_gpus_that_are_not_nvidias(accelerator, name, kind, device) -> None:
    accelerator(kind)
    assert select(name) == torch.device(device)


@pytest.mark.parametrize("name", ["rocm:1", "xpu:0", "mps", "cuda:GPU-x"])
def test_what_torch_cannot_use_is_one_clear_error(accelerator, name) -> None:
    accelerator("mps" if name.startswith("xpu") else "xpu" if name == "mps" else "cuda")
    with pytest.raises(UsageError, match=f"{name}.*try --device cpu"):
        select(name)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts the parent's memory, too")
def test_the_peak_of_a_process_is_its_own_not_that_of_who_started_it() -> None:
    ballast = bytearray(b"x") * 2**30
    code = (
        "import torch; from vixtui.engine.device import peak_memory_bytes; "
        "print(peak_memory_bytes(torch.device('cpu')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert 2**26 < int(done.stdout) < len(ballast)
