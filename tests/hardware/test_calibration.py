from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vixtui.errors import DiskError
from vixtui.hardware.calibration import Calibration, Rates, read_calibration, write_calibration
from vixtui.paths import calibration_path

RATES = Rates(
    threads=1,
    product_flops=1e11,
    convolution_flops=2e11,
    attention_flops=7e10,
    moved_bytes=2e10,
    function_bytes=7e9,
    kernel_seconds=5e-6,
)
CALIBRATION = Calibration(
    torch="2.14.1",
    cpu="Test",
    cores=2,
    measured_at=1_790_000_000.0,
    rates=(RATES, replace(RATES, threads=2), replace(RATES, precision="bf16")),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def written(**changes: Any) -> dict[str, Any]:
    return json.loads(write_calibration(CALIBRATION).read_bytes()) | changes


def read() -> Calibration | None:
    return read_calibration("Test", 2)


def test_a_calibration_is_read_back_as_written() -> None:
    assert read() is None
    path = write_calibration(CALIBRATION)
    assert path == calibration_path()
    assert read() == CALIBRATION
    assert [entry.name for entry in path.parent.iterdir()] == ["calibration.json"]


def test_a_later_calibration_replaces_an_earlier_one() -> None:
    write_calibration(CALIBRATION)
    later = replace(CALIBRATION, measured_at=1_790_100_000.0)
    write_calibration(later)
    assert read() == later


def test_a_calibration_of_another_processor_tells_nothing() -> None:
    write_calibration(CALIBRATION)
    assert read_calibration("Other", 2) is None
    assert read_calibration("Test", 4) is None


def test_age_is_never_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    assert replace(CALIBRATION, measured_at=now + 60).age_seconds == 0
    assert replace(CALIBRATION, measured_at=now - 60).age_seconds == pytest.approx(60)


def test_a_faster_device_takes_less_time_for_everything() -> None:
    faster = RATES.times(2)
    assert (faster.moved_bytes, faster.kernel_seconds) == (4e10, 2.5e-6)


@given(st.binary(max_size=200))
def test_a_damaged_file_is_ignored(content: bytes) -> None:
    write_calibration(CALIBRATION)
    calibration_path().write_bytes(content)
    assert read() is None


@given(
    st.sampled_from(["schema_version", "torch", "cpu", "cores", "measured_at", "rates"]), anything
)
def test_a_foreign_value_is_ignored_or_harmless(name: str, value: Any) -> None:
    calibration_path().write_text(json.dumps(written(**{name: value})))
    check_harmless(read())


@given(st.sampled_from(sorted(RATES.__slots__)), anything)
def test_a_foreign_rate_is_ignored_or_harmless(name: str, value: Any) -> None:
    table = written()
    table["rates"][0][name] = value
    calibration_path().write_text(json.dumps(table))
    check_harmless(read())


def check_harmless(found: Calibration | None) -> None:
    """Nothing that would divide by zero or predict nonsense."""
    for rates in found.rates if found else ():
        assert rates.threads >= 1
        assert 1e3 <= min(rates.product_flops, rates.moved_bytes, rates.function_bytes) < 1e19
        assert 0 <= rates.kernel_seconds <= 1


@pytest.mark.parametrize("missing", ["schema_version", "torch", "rates", "measured_at"])
def test_a_file_without_an_entry_is_ignored(missing: str) -> None:
    table = written()
    del table[missing]
    calibration_path().write_text(json.dumps(table))
    assert read() is None


def test_a_huge_or_nested_file_is_ignored() -> None:
    write_calibration(CALIBRATION)
    calibration_path().write_text("[" * 50_000)
    assert read() is None
    calibration_path().write_text(" " * 200_000 + json.dumps(written()))
    assert read() is None


def test_a_home_that_cannot_be_made_is_a_disk_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VIXTUI_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(DiskError, match="not writable"):
        write_calibration(CALIBRATION)
