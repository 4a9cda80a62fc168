"""What ``vixtui bench`` tells and keeps; the engine is a stand-in."""

from __future__ import annotations

import json
import time

from vixtui.hardware.calibration import read_calibration
from vixtui.hardware.host import cpu_name, usable_cores
from vixtui.paths import calibration_path, home


def kept():
    return read_calibration(cpu_name(), usable_cores())


def test_people_see_each_kind_of_work_with_its_unit(vixtui):
    result = vixtui("bench")
    assert result.code == 0
    rows = [" ".join(line.split()) for line in result.out.splitlines()]
    assert "torch 2.14.1" in rows[0]
    assert "work 1 thread, fp32" in rows[1]
    assert rows[2:8] == [
        "matrix products 104 GFLOP/s",
        "convolutions 200 GFLOP/s",
        "attention 70.0 GFLOP/s",
        "memory read and written 21.3 GB/s",
        "by exponentials, GELU, norms 7.1 GB/s",
        "starting an operation 5.2 µs",
    ]
    assert str(calibration_path()) in rows[8]


def test_scripts_get_what_is_kept(vixtui):
    told = json.loads(vixtui("bench", "--json").out)
    found = kept()
    assert found.rates[0].product_flops == told["rates"][0]["product_flops"] == 1.04e11
    assert told["path"] == str(calibration_path())
    assert abs(found.measured_at - time.time()) < 60
    basis = json.loads(vixtui("recommend", "--device", "cpu", "--json").out)["candidates"]
    assert basis[0]["time_basis"].startswith("predicted from a calibration of this machine, 20")


def test_a_measurement_that_makes_no_sense_keeps_the_earlier_one(vixtui, monkeypatch):
    vixtui("bench")
    before = kept()
    monkeypatch.setenv("FAKE_ENGINE", "broken")
    result = vixtui("bench")
    assert result.code == 1
    assert result.err.splitlines()[-1].startswith("error: the measurement makes no sense")
    assert kept() == before


def test_a_home_that_cannot_be_written_is_one_line_below_what_was_measured(
    vixtui, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VIXTUI_HOME", str(tmp_path / "file"))
    result = vixtui("bench")
    assert result.code == 6
    assert "matrix products" in result.out
    assert "Traceback" not in result.err
    assert not home().is_dir()


def test_no_measurement_of_no_time(vixtui):
    assert vixtui("bench", "--seconds", "0").code == 2
    assert vixtui("bench", "--seconds", "nan").code == 2
