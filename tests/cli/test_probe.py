"""What this machine has, for people and for scripts."""

from __future__ import annotations

import json
import time

import pytest

from vixtui.hardware.calibration import Calibration, Rates, write_calibration
from vixtui.hardware.machine import Figure, Gpu, GpuProcess, Machine
from vixtui.paths import home

GB = 10**9


@pytest.fixture
def machine(monkeypatch) -> None:
    some = Figure(8 * GB, "somebody")
    gpu = Gpu(
        index=0, uuid="GPU-1234", name="Test GPU", total=some,
        free=Figure(5 * GB, "nvml", read_at=time.time() - 75),
        reserved=Figure(GB, "nvml"), processes=(GpuProcess(12, 2 * GB), GpuProcess(77, None)),
    )  # fmt: skip
    part = Gpu(index=1, slice_index=2, uuid="MIG-5678", name="Part", total=some, free=some)
    found = Machine(
        cpu="Test CPU", cores=1, ram_total=some, ram_free=some, disk_free=some, gpus=(gpu, part),
        notes=("GPU 2 is left out: lost",),
    )  # fmt: skip
    monkeypatch.setattr("vixtui.hardware.probe.probe", lambda: found)


def test_every_figure_has_its_source_and_age(vixtui, machine):
    found = json.loads(vixtui("probe", "--json").out)
    first = found["gpus"][0]
    figures = [found[name] for name in ("ram_total", "ram_free", "disk_free")]
    figures += [first[name] for name in ("total", "free", "reserved")]
    for figure in figures:
        assert figure.keys() == {"bytes", "source", "age_seconds"}
    assert first["free"]["age_seconds"] >= 75
    assert found["ram_free"]["age_seconds"] < 60


def test_scripts_learn_what_to_give_as_device(vixtui, machine):
    gpus = json.loads(vixtui("probe", "--json").out)["gpus"]
    assert [gpu["device"] for gpu in gpus] == ["cuda:GPU-1234", "cuda:MIG-5678"]
    assert gpus[0]["processes"] == [{"pid": 12, "bytes": 2 * GB}, {"pid": 77, "bytes": None}]


def test_people_see_gpus_others_at_work_and_what_went_wrong(vixtui, machine):
    out = vixtui("probe").out
    assert out.startswith("Test CPU, 1 core\n")
    assert "GPU 0: Test GPU, cuda:GPU-1234" in out
    assert "GPU 1:2: Part, cuda:MIG-5678" in out
    assert "GPU 0: also used by process 12 (2.00 GB), 77 (unknown)" in out
    assert out.endswith("GPU 2 is left out: lost\n")


def test_the_table_says_how_old_a_figure_is_and_whose_the_disk_is(vixtui, machine):
    rows = vixtui("probe").out.splitlines()
    [free] = [row.split() for row in rows if row.startswith("GPU 0, free")]
    assert free == ["GPU", "0,", "free", "5.00", "GB", "1:15", "nvml"]
    [disk] = [row for row in rows if row.startswith("disk")]
    assert disk.endswith(str(home()))


RATES = Rates(
    threads=1, product_flops=1.04e11, convolution_flops=2e11, attention_flops=7e10,
    moved_bytes=2e10, function_bytes=7e9, kernel_seconds=5e-6,
)  # fmt: skip


def test_the_speed_of_the_processor_is_told_with_its_age_or_how_to_measure_it(vixtui, machine):
    assert "speed is not measured: vixtui bench does it" in vixtui("probe").out
    assert json.loads(vixtui("probe", "--json").out)["calibration"] is None
    now = time.time()
    write_calibration(
        Calibration(torch="2.14.1", cpu="Test CPU", cores=1, measured_at=now - 75, rates=(RATES,))
    )
    [row] = [line for line in vixtui("probe").out.splitlines() if line.startswith("speed")]
    assert " ".join(row.split()) == "speed, 1 thread, fp32 104 GFLOP/s 1:15 vixtui bench"
    told = json.loads(vixtui("probe", "--json").out)["calibration"]
    assert told["age_seconds"] >= 75
    assert told["rates"][0]["product_flops"] == 1.04e11


def test_this_machine_as_it_is(vixtui):
    found = json.loads(vixtui("probe", "--json").out)
    assert found["ram_free"]["source"]
    assert 0 < found["ram_free"]["bytes"] <= found["ram_total"]["bytes"]
