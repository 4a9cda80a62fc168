"""CO₂ is told only at a rate that the user gave."""

from __future__ import annotations

import json

import pytest

from vixtui.runs import events
from vixtui.runs.directory import RunDirectory

QUICK = ("train", "digits", "--preset", "vit:tiny", "--epochs", "3", "--name", "mine")


@pytest.fixture
def finished(vixtui, monkeypatch):
    """Return what `runs show` prints of a run that used a kilowatt-hour."""

    def show(rate: str | None, *options: str, joules: float | None = 3.6e6):
        assert vixtui(*QUICK).code == 0
        run = next(iter(RunDirectory(path) for path in _runs()))
        writer = events.EventWriter(run.events_path)
        writer.write(
            events.Finished, 1.7e9, reason="schedule", best_epoch=1, best_top1=0.5, seconds=1.0,
            peak_memory_bytes=1, energy_joules=joules, energy_basis="package-0 (RAPL)",
        )  # fmt: skip
        writer.close()
        if rate is not None:
            monkeypatch.setenv("VIXTUI_CO2_G_PER_KWH", rate)
        return vixtui("runs", "show", "mine", *options)

    return show


def _runs():
    from vixtui.paths import runs_dir

    return runs_dir().iterdir()


def test_energy_is_shown_with_its_source_and_no_carbon_without_a_rate(finished):
    out = finished(None).out
    assert "1,000.00 Wh measured: package-0 (RAPL)" in out
    assert "CO" not in out


def test_carbon_follows_the_users_rate(finished):
    shown = json.loads(finished("380", "--json").out)
    assert shown["energy"] == {
        "joules": 3.6e6, "basis": "package-0 (RAPL)", "co2_grams": 380.0,
    }  # fmt: skip


def test_unknown_energy_is_called_unknown(finished):
    assert "unknown: package-0 (RAPL)" in finished("380", joules=None).out


def test_a_rate_that_is_no_number_is_refused(finished):
    result = finished("much")
    assert result.code == 2
    assert "VIXTUI_CO2_G_PER_KWH" in result.err
