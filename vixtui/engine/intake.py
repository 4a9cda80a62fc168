"""The pictures of a run before its first step: decoded once, looked through on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vixtui.data.check import picture_findings
from vixtui.data.examine import PictureFacts
from vixtui.data.findings import headlines
from vixtui.data.split import Item, Labelled, Split
from vixtui.data.tensors import Pictures, load_pictures
from vixtui.errors import DataError
from vixtui.hardware.host import usable_cores
from vixtui.runs.config import RunConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Intake:
    """What a run learns from and is judged by.

    Args:
        unusable: pictures left out of all three parts.
        test_seconds: time spent on the test pictures, which training does not need.
    """

    train: Pictures
    validation: Pictures
    test: Pictures
    unusable: int
    test_seconds: float


def take_in(config: RunConfig, split_path: Path, *, warn: Callable[[str], None]) -> Intake:
    """Decode the pictures of a run, saying what is wrong or odd about them.

    Args:
        config: of the run.
        split_path: its ``split.json``.
        warn: told one line, safe to show, for each kind of finding and each unusable picture.

    Raises:
        DataError: when the split is damaged or nothing can be trained on.
        DoesNotFitError: when the decoded pictures would need more than the free memory.
    """
    try:
        split = Split.from_json(split_path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError("the split is missing or damaged", where=split_path) from error
    data = config.data
    facts: dict[Item, PictureFacts] = {}
    unusable: list[str] = []

    def load(items: Labelled) -> Pictures:
        return load_pictures(
            data,
            items,
            on_unusable=unusable.append,
            on_usable=facts.__setitem__,
            threads=config.plan.threads or usable_cores(),
        )

    train, validation = load(split.train), load(split.validation)
    if not len(train.labels):
        raise DataError("no training picture can be used", where=data.source)
    started = time.monotonic()
    test = load(split.test)
    test_seconds = time.monotonic() - started
    if facts:  # none of a built-in set
        found = picture_findings(
            split, facts, classes=data.classes, height=data.image_height, width=data.image_width
        )
        for line in headlines(found):
            warn(line)
    for line in unusable:
        warn(line)
    return Intake(
        train=train,
        validation=validation,
        test=test,
        unusable=len(unusable),
        test_seconds=test_seconds,
    )
