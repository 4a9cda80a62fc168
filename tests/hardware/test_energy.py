"""Energy is what counters say, and unknown where none does; it is never estimated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vixtui.hardware import energy
from vixtui.hardware.energy import EnergyMeter
from vixtui.hardware.nvml import DriverUnusableError

ZONES = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram"}


def put(root: Path, zone: str, joules: float) -> None:
    folder = root / "sys/class/powercap" / zone
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(ZONES[zone] + "\n")
    (folder / "max_energy_range_uj").write_text("1000000000\n")
    (folder / "energy_uj").write_text(f"{round(joules * 1e6)}\n")


def test_packages_and_memory_are_added_up_and_cores_are_not_counted_twice(tmp_path: Path) -> None:
    for zone in ZONES:
        put(tmp_path, zone, 100)
    meter = EnergyMeter("cpu", tmp_path)
    put(tmp_path, "intel-rapl:0", 150)
    put(tmp_path, "intel-rapl:0:0", 140)
    put(tmp_path, "intel-rapl:0:1", 107)
    used = meter.poll()
    assert used.joules == pytest.approx(57)
    assert used.basis == "package-0 (RAPL), dram (RAPL)"


def test_a_counter_that_wraps_goes_on(tmp_path: Path) -> None:
    put(tmp_path, "intel-rapl:0", 990)
    meter = EnergyMeter("cpu", tmp_path)
    put(tmp_path, "intel-rapl:0", 15)
    assert meter.poll().joules == pytest.approx(25)
    put(tmp_path, "intel-rapl:0", 20)
    assert meter.poll().joules == pytest.approx(30)


def test_a_machine_without_counters_says_so(tmp_path: Path) -> None:
    used = EnergyMeter("cpu", tmp_path).poll()
    assert (used.joules, used.basis) == (None, "this machine reports no energy")


@pytest.mark.parametrize("device", ["mps", "xpu:0", "several devices"])
def test_devices_without_a_known_counter_are_unknown(tmp_path: Path, device: str) -> None:
    put(tmp_path, "intel-rapl:0", 1)
    assert EnergyMeter(device, tmp_path).poll().joules is None


def test_a_counter_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "intel-rapl:0", 1)

    def refuse(path: Path) -> Callable[[], float]:
        def read() -> float:
            raise PermissionError(13, "Permission denied", str(path))

        return read

    monkeypatch.setattr(energy, "_reader", refuse)
    assert "energy_uj may not be read" in EnergyMeter("cpu", tmp_path).poll().basis


def test_a_gpu_is_asked_by_its_uuid_and_may_fall_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    joules = {"GPU-1": 5.0}

    def ask(uuid: str) -> float:
        if uuid not in joules:
            raise DriverUnusableError("this GPU reports no energy")
        return joules[uuid]

    monkeypatch.setattr(energy, "gpu_joules", ask)
    meter = EnergyMeter("cuda:GPU-1")
    joules["GPU-1"] = 12.5
    assert meter.poll() == energy.Energy(7.5, "GPU (NVML)")
    del joules["GPU-1"]
    assert meter.poll().joules is None
    joules["GPU-1"] = 20.0
    assert meter.poll().joules is None  # what was used meanwhile is not known
    assert EnergyMeter("cuda:GPU-2").poll().joules is None
