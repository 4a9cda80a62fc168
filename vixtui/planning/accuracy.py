"""What presets were measured to reach: ``measured.toml``, filled by benchmarks alone."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import groupby
from math import log
from pathlib import Path
from typing import Any

from vixtui.text import format_seconds

PATH = Path(__file__).with_name("measured.toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One preset trained once from random weights.

    Args:
        preset: ``variant:size``.
        top1: on the test pictures, 0 to 1.
        data: which pictures, in words: ``CIFAR-10, 200 training pictures a class``.
        image_size: side of the model's input in pixels.
        seconds: time limit of the training.
        threads: CPU threads used.
        date: ``YYYY-MM-DD``.
        vixtui: version of this program.
    """

    preset: str
    top1: float
    data: str
    image_size: int
    seconds: float
    threads: int
    date: str
    vixtui: str

    @property
    def basis(self) -> str:
        """What was measured, in one line."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return (
            f"top-1 on {self.data} after {format_seconds(self.seconds)} on {threads}, "
            f"{self.date}, vixtui {self.vixtui}"
        )


def read_measurements(path: Path = PATH) -> tuple[Measurement, ...]:
    """Return every entry of the table.

    Raises:
        ValueError: for unknown, missing or impossible entries.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    entries = table.pop("measurement", [])
    if table or not isinstance(entries, list):
        raise ValueError(f"{path.name} may hold [[measurement]] tables only")
    return tuple(_measurement(entry, path) for entry in entries)


def _measurement(entry: dict[str, Any], path: Path) -> Measurement:
    kinds: dict[str, Any] = {"str": str, "int": int, "float": (int, float)}
    expected = {field.name: kinds[str(field.type)] for field in fields(Measurement)}
    if entry.keys() != expected.keys():
        raise ValueError(f"{path.name}: a measurement has exactly {', '.join(expected)}")
    for name, kind in expected.items():
        if not isinstance(entry[name], kind) or isinstance(entry[name], bool):
            raise ValueError(f"{path.name}: {name} of {entry['preset']} has the wrong type")
    found = Measurement(**entry)
    if not (0 <= found.top1 <= 1 and min(found.image_size, found.seconds, found.threads) > 0):
        raise ValueError(f"{path.name}: impossible numbers for {found.preset}")
    return found


def comparable(
    measurements: Iterable[Measurement], *, image_side: int, seconds: float | None
) -> Mapping[str, Measurement]:
    """Return one measurement a preset, all taken under the same conditions.

    Only these may be ranked against each other. Of several conditions, the one nearest to the task
    in picture size counts, then in training time, then the one that most presets were measured
    under.

    Args:
        measurements: the whole table.
        image_side: shorter side of the task's pictures in pixels.
        seconds: the time the user gives, or None.
    """

    def conditions(entry: Measurement) -> tuple[str, int, float, int]:
        return entry.data, entry.image_size, entry.seconds, entry.threads

    def distance(group: list[Measurement]) -> tuple[float, float, int]:
        first = group[0]
        size = abs(log(first.image_size / image_side))
        return size, abs(log(first.seconds / seconds)) if seconds else 0.0, -len(group)

    ordered = sorted(measurements, key=conditions)
    groups = [list(group) for _, group in groupby(ordered, key=conditions)]
    nearest = min(groups, key=distance, default=[])
    return {entry.preset: entry for entry in nearest}
