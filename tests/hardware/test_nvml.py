"""Unmodified pynvml, driven against a compiled stand-in for the driver's library."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stand_ins import environment, no_driver, told

pytest.importorskip("pynvml")

MIB = 2**20
GIB = 2**30
LOOK = """
import json
from dataclasses import asdict
from vixtui.hardware.machine import Figure
from vixtui.hardware.nvml import list_gpus
ram = Figure(64 * 2**30, "psutil"), Figure(6 * 2**30, "cgroup v2 memory.max less usage")
gpus, notes = list_gpus(*ram)
print(json.dumps([[asdict(gpu) | {"device": gpu.device} for gpu in gpus], notes]))
"""
Found = tuple[list[dict[str, Any]], list[str]]
Look = Callable[..., Found]


def ask(library: Path, answers: dict[str, object], **settings: str) -> Found:
    """pynvml keeps its library for good: every question is a process of its own."""
    settings["FAKE_NVML"] = told(answers)
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        env=environment(library, **settings),
        capture_output=True,
        text=True,
        check=True,
    )
    gpus, notes = json.loads(done.stdout)
    return gpus, notes


@pytest.fixture
def look(driver: Path) -> Look:
    def with_answers(answers: dict[str, object], **settings: str) -> Found:
        return ask(driver, answers, **settings)

    return with_answers


def amount(figure: dict[str, Any]) -> tuple[int, str]:
    return figure["bytes"], figure["source"]


def test_no_driver_library_is_one_note(tmp_path: Path) -> None:
    gpus, notes = ask(no_driver(tmp_path), {})
    assert gpus == []
    assert notes == ["no NVIDIA driver library: the CPU is used"]


@pytest.mark.parametrize(
    ("code", "words"), [(18, "mismatch"), (9, "Driver Not Loaded"), (4, "Permissions")]
)
def test_unusable_driver_is_one_note_with_the_reason(look: Look, code: int, words: str) -> None:
    gpus, notes = look({"gpus": 1, "return.nvmlInitWithFlags": code})
    assert gpus == []
    assert len(notes) == 1
    assert words in notes[0]
    assert notes[0].endswith("the CPU is used")


def test_driver_without_gpu_is_one_note(look: Look) -> None:
    assert look({"gpus": 0}) == ([], ["no usable NVIDIA GPU: the CPU is used"])


def test_free_memory_not_total(look: Look) -> None:
    gpus, notes = look({"gpus": 1, "0.total": 24576, "0.used": 23076, "0.reserved": 500})
    assert notes == []
    assert amount(gpus[0]["free"]) == (1000 * MIB, "nvml")
    assert amount(gpus[0]["total"]) == (24576 * MIB, "nvml")
    assert (gpus[0]["device"], gpus[0]["shared"]) == ("cuda:GPU-0000-0", False)


def test_what_the_driver_keeps_is_neither_free_nor_used_by_others(look: Look) -> None:
    gpus, _ = look({"gpus": 1, "0.total": 8192, "0.used": 0, "0.reserved": 312})
    assert amount(gpus[0]["reserved"]) == (312 * MIB, "nvml")
    assert gpus[0]["free"]["bytes"] == (8192 - 312) * MIB
    assert gpus[0]["processes"] == []


def test_old_driver_that_knows_only_the_first_memory_call(look: Look) -> None:
    gpus, notes = look(
        {"gpus": 1, "0.used": 92, "0.reserved": 100, "missing.nvmlDeviceGetMemoryInfo_v2": 1}
    )
    assert notes == []
    assert amount(gpus[0]["free"]) == (8000 * MIB, "nvml, first version")
    assert gpus[0]["reserved"] is None


def test_memory_is_that_of_the_gpu_not_of_a_name_table(look: Look) -> None:
    name = "NVIDIA GeForce RTX 3050 8GB Laptop GPU"
    gpus, _ = look({"gpus": 1, "0.name": name, "0.total": 4096, "0.used": 96})
    assert gpus[0]["name"] == name
    assert gpus[0]["total"]["bytes"] == 4096 * MIB
    assert gpus[0]["free"]["bytes"] == 4000 * MIB


def test_three_gpus_are_never_summed(look: Look) -> None:
    gpus, _ = look({"gpus": 3, "0.used": 192, "1.total": 24576, "1.used": 4576, "2.used": 8192})
    assert [gpu["free"]["bytes"] for gpu in gpus] == [8000 * MIB, 20000 * MIB, 0]
    assert [gpu["index"] for gpu in gpus] == [0, 1, 2]


@pytest.mark.parametrize("call", ["nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetMemoryInfo_v2"])
def test_a_lost_gpu_does_not_hide_the_others(look: Look, call: str) -> None:
    gpus, notes = look({"gpus": 3, f"1.return.{call}": 15})
    assert [gpu["index"] for gpu in gpus] == [0, 2]
    assert len(notes) == 1
    assert notes[0].startswith("GPU 1 is left out:")
    assert "lost" in notes[0]


def test_a_name_full_of_terminal_codes_is_made_safe(look: Look) -> None:
    gpus, _ = look({"gpus": 1, "0.name": "GPU\x1b]0;x\x07"})
    assert gpus[0]["name"] == "GPU\\x1b]0;x\\x07"


def test_other_processes_and_what_they_hold(look: Look) -> None:
    gpus, _ = look({"gpus": 2, "0.used": 900, "0.processes": "77:600,12:300,99:unknown"})
    assert gpus[0]["processes"] == [
        {"pid": 12, "bytes": 300 * MIB},
        {"pid": 77, "bytes": 600 * MIB},
        {"pid": 99, "bytes": None},
    ]
    assert gpus[1]["processes"] == []


def test_where_nobody_tells_of_other_processes_the_gpu_is_usable(look: Look) -> None:
    answers: dict[str, object] = {"gpus": 1}
    for kind in ("Compute", "Graphics"):
        answers[f"return.nvmlDeviceGet{kind}RunningProcesses_v3"] = 999
    gpus, notes = look(answers)
    assert (gpus[0]["processes"], notes) == (None, [])


@pytest.mark.parametrize("name", ["NVIDIA GB10", "Orin (nvgpu)", "NVIDIA Thor"])
def test_gpu_without_memory_of_its_own_has_the_systems_within_its_limits(
    look: Look, name: str
) -> None:
    not_supported = {f"return.nvmlDeviceGetMemoryInfo{version}": 3 for version in ("", "_v2")}
    gpus, notes = look({"gpus": 1, "0.name": name, **not_supported})
    assert notes == []
    assert gpus[0]["shared"]
    assert amount(gpus[0]["total"]) == (64 * GIB, "psutil, shared with the system")
    limit = "cgroup v2 memory.max less usage, shared with the system"
    assert amount(gpus[0]["free"]) == (6 * GIB, limit)


def test_figures_of_an_integrated_part_are_clamped_by_the_systems(look: Look) -> None:
    gpus, _ = look({"gpus": 1, "0.name": "NVIDIA GB10", "0.total": 120_000})
    assert gpus[0]["total"]["bytes"] == 120_000 * MIB
    assert gpus[0]["free"]["bytes"] == 6 * GIB


@pytest.mark.parametrize(("code", "words"), [(3, "Not Supported"), (15, "lost"), (999, "Unknown")])
def test_a_card_that_does_not_tell_never_gets_the_systems_memory(
    look: Look, code: int, words: str
) -> None:
    failing = {f"return.nvmlDeviceGetMemoryInfo{version}": code for version in ("", "_v2")}
    gpus, notes = look({"gpus": 1, **failing})
    assert gpus == []
    assert words in notes[0]


MIG = {
    "gpus": 2,
    "0.mig": 1, "0.total": 40960, "0.used": 960,
    "0/0.uuid": "MIG-aaaa", "0/0.total": 20096, "0/0.used": 96, "0/0.name": "A100 MIG 3g.20gb",
    "0/3.uuid": "MIG-bbbb", "0/3.total": 10048, "0/3.used": 48, "0/3.processes": "5:40",
    "1.mig": 0,
}  # fmt: skip


def test_mig_slices_by_uuid_with_their_own_memory_never_their_parents(look: Look) -> None:
    gpus, notes = look(MIG)
    assert notes == []
    assert [(gpu["device"], gpu["index"], gpu["slice_index"]) for gpu in gpus] == [
        ("cuda:MIG-aaaa", 0, 0),
        ("cuda:MIG-bbbb", 0, 3),
        ("cuda:GPU-0000-1", 1, None),
    ]
    assert [gpu["free"]["bytes"] // MIB for gpu in gpus] == [20000, 10000, 8192]
    assert gpus[0]["name"] == "A100 MIG 3g.20gb"
    assert [len(gpu["processes"]) for gpu in gpus] == [0, 1, 0]


def test_mig_gpu_without_a_slice_is_left_out(look: Look) -> None:
    gpus, notes = look({"gpus": 1, "0.mig": 1, "0.total": 40960})
    assert gpus == []
    assert notes[0] == "GPU 0 is left out: in MIG mode, and no slice of it is ours"


def test_mig_slice_of_somebody_else_is_passed_over(look: Look) -> None:
    gpus, _ = look({**MIG, "0/0.return.nvmlDeviceGetMigDeviceHandleByIndex": 4})
    assert [gpu["uuid"] for gpu in gpus] == ["MIG-bbbb", "GPU-0000-1"]


def test_unknown_mig_mode_is_no_reason_to_show_the_parents_memory(look: Look) -> None:
    gpus, notes = look({**MIG, "0.return.nvmlDeviceGetMigMode": 999})
    assert [gpu["uuid"] for gpu in gpus] == ["GPU-0000-1"]
    assert notes[0].startswith("GPU 0 is left out")


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [
        ("1", ["GPU-0000-1"]),
        ("0, 1", ["MIG-aaaa", "MIG-bbbb", "GPU-0000-1"]),
        ("MIG-bbbb", ["MIG-bbbb"]),
        ("GPU-0000-0", ["MIG-aaaa", "MIG-bbbb"]),
        ("1,-1,0", ["GPU-0000-1"]),
        ("-1", []),
        ("", []),
    ],
)
def test_gpu_hidden_from_cuda_is_not_offered(look: Look, visible: str, uuids: list[str]) -> None:
    gpus, notes = look(MIG, CUDA_VISIBLE_DEVICES=visible)
    assert [gpu["uuid"] for gpu in gpus] == uuids
    hidden = [note for note in notes if "hidden by CUDA_VISIBLE_DEVICES" in note]
    assert len(hidden) == 3 - len(uuids)
