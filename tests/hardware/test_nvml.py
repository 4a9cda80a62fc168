"""Unmodified pynvml, driven against a compiled stand-in for the driver's library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynvml")

GCC = shutil.which("gcc")
MIB = 2**20
LOOK = """
import json
from dataclasses import asdict
from vixtui.hardware.nvml import list_gpus
gpus, notes = list_gpus()
print(json.dumps([[asdict(gpu) for gpu in gpus], notes]))
"""
Look = Callable[..., tuple[list[dict[str, Any]], list[str]]]


@pytest.fixture(scope="module")
def library_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if GCC is None or sys.platform != "linux":
        pytest.skip("needs gcc on Linux to build the stand-in driver library")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("fake_nvml.c")
    command = [GCC, "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(source)]
    subprocess.run(command, check=True)
    return folder


def ask(library: Path, **settings: str) -> tuple[list[dict[str, Any]], list[str]]:
    """pynvml keeps its library for good: every question is a process of its own."""
    kept = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    environment = kept | {"LD_LIBRARY_PATH": str(library)} | settings
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=True
    )
    gpus, notes = json.loads(done.stdout)
    return gpus, notes


@pytest.fixture
def look(library_folder: Path) -> Look:
    return lambda **settings: ask(library_folder, **settings)


def test_no_driver_library_is_one_note(tmp_path: Path) -> None:
    # An empty file where the library should be: also on a machine that has a real driver.
    (tmp_path / "libnvidia-ml.so.1").touch()
    gpus, notes = ask(tmp_path)
    assert gpus == []
    assert notes == ["no NVIDIA driver library: the CPU is used"]


@pytest.mark.parametrize(
    ("code", "words"), [("18", "mismatch"), ("9", "Driver Not Loaded"), ("4", "Permissions")]
)
def test_unusable_driver_is_one_note_with_the_reason(look: Look, code: str, words: str) -> None:
    gpus, notes = look(FAKE_NVML_INIT=code, FAKE_NVML_GPUS="8192:8000")
    assert gpus == []
    assert len(notes) == 1
    assert words in notes[0]
    assert notes[0].endswith("the CPU is used")


def test_driver_without_gpu_is_one_note(look: Look) -> None:
    assert look() == ([], ["no usable NVIDIA GPU: the CPU is used"])


def test_free_memory_not_total(look: Look) -> None:
    gpus, notes = look(FAKE_NVML_GPUS="24576:1000")
    assert notes == []
    assert gpus[0]["free"] == {"bytes": 1000 * MIB, "source": "nvml"}
    assert gpus[0]["total"] == {"bytes": 24576 * MIB, "source": "nvml"}
    assert (gpus[0]["name"], gpus[0]["uuid"]) == ("Fake GPU 0", "GPU-0000-0")


def test_two_gpus_are_never_summed(look: Look) -> None:
    gpus, _ = look(FAKE_NVML_GPUS="8192:8000,24576:20000")
    assert [gpu["free"]["bytes"] for gpu in gpus] == [8000 * MIB, 20000 * MIB]
    assert [gpu["index"] for gpu in gpus] == [0, 1]


@pytest.mark.parametrize(("code", "words"), [("15", "lost"), ("3", "Not Supported")])
def test_one_failing_gpu_does_not_hide_the_other(look: Look, code: str, words: str) -> None:
    gpus, notes = look(FAKE_NVML_GPUS="8192:8000,8192:7000", FAKE_NVML_MEMORY=code)
    assert [gpu["index"] for gpu in gpus] == [1]
    assert len(notes) == 1
    assert notes[0].startswith("GPU 0 is left out:")
    assert words in notes[0]


def test_gpu_in_slices_is_left_out_because_it_reports_its_parents_memory(look: Look) -> None:
    gpus, notes = look(FAKE_NVML_GPUS="40960:40000:mig")
    assert gpus == []
    assert "MIG" in notes[0]


@pytest.mark.parametrize(("visible", "indices"), [("1", [1]), ("GPU-0000-0", [0]), ("", [])])
def test_gpu_hidden_from_cuda_is_not_offered(look: Look, visible: str, indices: list[int]) -> None:
    gpus, notes = look(FAKE_NVML_GPUS="8192:8000,8192:7000", CUDA_VISIBLE_DEVICES=visible)
    assert [gpu["index"] for gpu in gpus] == indices
    assert any("hidden by CUDA_VISIBLE_DEVICES" in note for note in notes)
