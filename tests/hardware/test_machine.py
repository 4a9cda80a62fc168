"""What figures and GPUs say of themselves."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from vixtui.hardware.machine import Backend, Figure, Gpu

SOME = Figure(8, "somebody")
GPU = Gpu(index=1, uuid="GPU-12", name="Test GPU", total=SOME, free=SOME)


def test_a_figure_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Figure(8, "psutil")
    monkeypatch.setattr(time, "time", lambda: figure.read_at + 90)
    assert figure.age_seconds == pytest.approx(90)
    monkeypatch.setattr(time, "time", lambda: figure.read_at - 3600)
    assert figure.age_seconds == 0


def test_figures_read_at_different_times_are_equal_if_they_say_the_same() -> None:
    assert Figure(8, "psutil", read_at=1) == Figure(8, "psutil", read_at=2)


@pytest.mark.parametrize(
    ("backend", "slice_index", "device", "names"),
    [
        ("cuda", None, "cuda:GPU-12", {"cuda:GPU-12", "GPU-12", "cuda", "cuda:1"}),
        ("cuda", 3, "cuda:GPU-12", {"cuda:GPU-12", "GPU-12", "cuda", "cuda:1:3"}),
        ("rocm", None, "rocm:1", {"rocm:1", "rocm", "cuda", "cuda:1"}),
        ("xpu", None, "xpu:1", {"xpu:1", "xpu"}),
        ("mps", None, "mps", {"mps", "mps:1"}),
    ],
)
def test_how_a_gpu_is_named(
    backend: Backend, slice_index: int | None, device: str, names: set[str]
) -> None:
    uuid = GPU.uuid if backend == "cuda" else ""
    gpu = replace(GPU, backend=backend, slice_index=slice_index, uuid=uuid)
    assert gpu.device == device
    assert gpu.names == names
