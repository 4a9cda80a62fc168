from __future__ import annotations

from pathlib import Path

import pytest

from vixtui.planning.accuracy import Measurement, comparable, read_measurements
from vixtui.presets import all_presets

ENTRY = """
[[measurement]]
preset = "vit:tiny"
top1 = 0.5
data = "digits"
image_size = 8
seconds = 40
threads = 1
date = "2026-11-22"
vixtui = "0.1.0"
"""


def measurement(preset: str, top1: float, *, size: int = 32, seconds: float = 100) -> Measurement:
    return Measurement(
        preset=preset,
        top1=top1,
        data=f"pictures of {size}",
        image_size=size,
        seconds=seconds,
        threads=1,
        date="2026-11-22",
        vixtui="0.1.0",
    )


def test_shipped_table_is_valid_and_names_presets() -> None:
    assert {entry.preset for entry in read_measurements()} <= set(all_presets())


def test_an_entry_tells_how_it_was_measured(tmp_path: Path) -> None:
    (tmp_path / "measured.toml").write_text(ENTRY)
    (found,) = read_measurements(tmp_path / "measured.toml")
    assert found.top1 == 0.5
    assert found.basis == "top-1 on digits after 40 s on 1 thread, 2026-11-22, vixtui 0.1.0"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("top1 = 0.5", "top1 = 1.5"),
        ("top1 = 0.5", 'top1 = "high"'),
        ("top1 = 0.5", "top1 = true"),
        ("top1 = 0.5", ""),
        ("threads = 1", "threads = 0"),
        ("threads = 1", "threads = 1\nlucky = true"),
        ("[[measurement]]", "[measurement]"),
        ("[[measurement]]", "guess = 1\n[[measurement]]"),
    ],
)
def test_table_is_read_strictly(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "measured.toml").write_text(ENTRY.replace(old, new))
    with pytest.raises(ValueError, match=r"measured\.toml"):
        read_measurements(tmp_path / "measured.toml")


def test_only_measurements_under_the_same_conditions_are_compared() -> None:
    table = [
        measurement("a", 0.9, size=8),
        measurement("a", 0.4),
        measurement("b", 0.5),
        measurement("b", 0.7, seconds=1000),
    ]
    small = comparable(table, image_side=10, seconds=None)
    assert {name: entry.top1 for name, entry in small.items()} == {"a": 0.9}
    short = comparable(table, image_side=40, seconds=60)
    assert {name: entry.top1 for name, entry in short.items()} == {"a": 0.4, "b": 0.5}
    long = comparable(table, image_side=40, seconds=2000)
    assert {name: entry.top1 for name, entry in long.items()} == {"b": 0.7}


def test_nothing_measured_is_fine() -> None:
    assert comparable([], image_side=32, seconds=60) == {}
