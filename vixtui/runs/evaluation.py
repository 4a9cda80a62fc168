"""Test results: ``evaluation.json``, or the engine's answer to ``evaluate``; nothing is trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vixtui.errors import DataError
from vixtui.text import safe

SCHEMA_VERSION = 1
_MAX_BYTES = 400_000_000  # the confusions of 10,000 classes fit


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How one class did; a class without pictures has no figures. `name` is safe to show."""

    name: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


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
    """What a model got right and wrong. Fractions run from 0 to 1; texts are safe to show.

    Args:
        model: run id or path of the weights.
        source, split: which pictures it was tested on.
        top1_interval: 95 % Wilson interval of `top1`.
        top_k: how many guesses `top5` counts: 5, or all classes where there are fewer.
        confusion: counts; rows are true classes, columns predicted ones.
    """

    model: str
    source: str
    split: str
    images: int
    classes: tuple[str, ...]
    top1: float
    top1_interval: tuple[float, float]
    top_k: int
    top5: float
    loss: float
    ece: float
    images_per_second: float
    confusion: tuple[tuple[int, ...], ...]
    per_class: tuple[ClassScore, ...]
    calibration: tuple[CalibrationBin, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: object = "") -> Evaluation:
        """Check and convert an evaluation as the engine gives it.

        Args:
            where: named in the error.

        Raises:
            DataError: when something is missing or of the wrong kind.
        """
        try:
            if values["schema_version"] != SCHEMA_VERSION:
                raise ValueError("of another version of vixtui")
            return _checked(values)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            missing = isinstance(error, KeyError)
            what = f"{error} is missing" if missing else str(error)
            raise DataError(
                f"unreadable test results: {what}", where=where, remedy="test the model again"
            ) from error

    def worst_first(self) -> list[ClassScore]:
        """Return the classes by recall, worst first; those without pictures last."""
        return sorted(self.per_class, key=lambda score: (not score.images, score.recall or 0.0))

    def most_confused(self, most: int) -> list[Confusion]:
        """Return the pairs of classes mixed up most often."""
        pairs = [
            Confusion(self.classes[true], self.classes[guess], count, count / sum(row))
            for true, row in enumerate(self.confusion)
            for guess, count in enumerate(row)
            if guess != true and count
        ]
        return sorted(pairs, key=lambda pair: (-pair.images, -pair.fraction))[:most]


def read_evaluation(path: Path) -> Evaluation | None:
    """Return a run's test results, or None when there are none.

    Raises:
        DataError: when they are damaged.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("too large")
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"unreadable test results: {error}", where=path, remedy="test the model again"
        ) from error
    return Evaluation.from_dict(values, where=path)


def _checked(values: Mapping[str, Any]) -> Evaluation:
    classes = tuple(safe(str(name)) for name in values["classes"])
    confusion = tuple(tuple(_count(n) for n in row) for row in values["confusion"])
    if [len(row) for row in confusion] != [len(classes)] * len(classes):
        raise ValueError("the confusion matrix does not match the classes")
    per_class = tuple(_class_score(entry) for entry in values["per_class"])
    if len(per_class) != len(classes):
        raise ValueError("the figures a class do not match the classes")
    low, high = values["top1_interval"]
    return Evaluation(
        model=safe(str(values["model"])),
        source=safe(str(values["source"])),
        split=safe(str(values["split"])),
        images=_count(values["images"]),
        classes=classes,
        top1=_fraction(values["top1"]),
        top1_interval=(_fraction(low), _fraction(high)),
        top_k=_count(values["top_k"]),
        top5=_fraction(values["top5"]),
        loss=float(values["loss"]),
        ece=float(values["ece"]),
        images_per_second=float(values["images_per_second"]),
        confusion=confusion,
        per_class=per_class,
        calibration=tuple(
            CalibrationBin(
                _fraction(entry["confidence"]),
                _fraction(entry["accuracy"]),
                _count(entry["images"]),
            )
            for entry in values["calibration"]
        ),
    )


def _class_score(entry: Mapping[str, Any]) -> ClassScore:
    figures = [_fraction(entry[name]) for name in ("precision", "recall", "f1")]
    images = _count(entry["images"])
    return ClassScore(safe(str(entry["class"])), images, *(figures if images else [None] * 3))


def _fraction(value: Any) -> float:
    number = float(value)
    # Sums of rounded figures may exceed 1 by a hair.
    if not -1e-6 <= number <= 1 + 1e-6:
        raise ValueError(f"{number} is no fraction")
    return number


def _count(value: Any) -> int:
    number = int(value)
    if number < 0:
        raise ValueError(f"{number} is no count")
    return number
