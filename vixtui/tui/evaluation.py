"""``evaluation.json`` read for the screens; nothing in it is trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vixtui.errors import DataError
from vixtui.text import safe


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How one class did; `name` is safe to show."""

    name: str
    precision: float
    recall: float
    f1: float
    images: int


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Pictures answered with about the same confidence, and how many of them were right."""

    confidence: float
    accuracy: float
    images: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often `true` was taken for `predicted`; `fraction` of the true class's pictures."""

    true: str
    predicted: str
    images: int
    fraction: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What a model got right and wrong. Fractions run from 0 to 1; names are safe to show."""

    split: str
    images: int
    classes: tuple[str, ...]
    top1: float
    top1_low: float
    top1_high: float
    top_k: int
    top5: float
    loss: float
    ece: float
    images_per_second: float
    confusion: tuple[tuple[int, ...], ...]
    per_class: tuple[ClassScore, ...]
    calibration: tuple[CalibrationBin, ...]

    @classmethod
    def read(cls, path: Path) -> Evaluation:
        """Read a run's results.

        Raises:
            DataError: when they are damaged.
            FileNotFoundError: when there are none.
        """
        try:
            return cls.from_dict(json.loads(path.read_bytes()))
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise DataError(
                f"unreadable test results: {error}", where=path, remedy="press e to test again"
            ) from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation:
        """Check and convert the engine's answer.

        Raises:
            ValueError: when something is missing or of the wrong kind.
        """
        try:
            classes = tuple(safe(str(name), 60) for name in values["classes"])
            confusion = tuple(tuple(int(n) for n in row) for row in values["confusion"])
            if [len(row) for row in confusion] != [len(classes)] * len(classes):
                raise ValueError("the confusion matrix does not match the classes")
            low, high = values["top1_interval"]
            return cls(
                split=safe(str(values["split"])),
                images=int(values["images"]),
                classes=classes,
                top1=float(values["top1"]),
                top1_low=float(low),
                top1_high=float(high),
                top_k=int(values["top_k"]),
                top5=float(values["top5"]),
                loss=float(values["loss"]),
                ece=float(values["ece"]),
                images_per_second=float(values["images_per_second"]),
                confusion=confusion,
                per_class=tuple(
                    ClassScore(
                        safe(str(entry["class"]), 60),
                        float(entry["precision"]),
                        float(entry["recall"]),
                        float(entry["f1"]),
                        int(entry["images"]),
                    )
                    for entry in values["per_class"]
                ),
                calibration=tuple(
                    CalibrationBin(
                        float(entry["confidence"]), float(entry["accuracy"]), int(entry["images"])
                    )
                    for entry in values["calibration"]
                ),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"incomplete: {error}") from error

    def worst_first(self) -> list[ClassScore]:
        """Return the classes by recall, worst first; those without pictures last."""
        return sorted(self.per_class, key=lambda score: (not score.images, score.recall))

    def most_confused(self, most: int) -> list[Confusion]:
        """Return the pairs of classes mixed up most often, as a share of the true class."""
        pairs = [
            Confusion(self.classes[true], self.classes[guess], count, count / sum(row))
            for true, row in enumerate(self.confusion)
            for guess, count in enumerate(row)
            if guess != true and count
        ]
        return sorted(pairs, key=lambda pair: (-pair.images, -pair.fraction))[:most]
