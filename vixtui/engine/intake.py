"""The pictures of a run before its first step: looked through, and decoded unless the cache is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from vixtui.data.check import picture_findings
from vixtui.data.examine import PictureFacts
from vixtui.data.findings import Kind, headlines
from vixtui.data.split import Labelled, Split
from vixtui.data.store import Store, Team, open_store
from vixtui.data.tensors import Pictures
from vixtui.engine.distributed import ALONE, Group
from vixtui.errors import DataError
from vixtui.hardware.host import usable_cores
from vixtui.runs.config import RunConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Intake:
    """What a run learns from and is judged by.

    Args:
        unusable: pictures left out of all three parts.
        test_seconds: share of the time spent on the test pictures, which training does not need.
    """

    train: Pictures
    validation: Pictures
    test: Pictures
    unusable: int
    test_seconds: float


def take_in(
    config: RunConfig, split_path: Path, *, warn: Callable[[str], None], group: Group = ALONE
) -> Intake:
    """Look through the pictures of a run, saying what is wrong or odd about them.

    Args:
        config: of the run.
        split_path: its ``split.json``.
        warn: told one line, safe to show, for each kind of finding and each unusable picture, and
            when there is no room for the cache.
        group: of its processes, each of a machine decodes a part for all of it.

    Raises:
        DataError: when the split is damaged or nothing can be trained on.
    """
    try:
        split = Split.from_json(split_path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError("the split is missing or damaged", where=split_path) from error
    data = config.data
    parts = (split.train, split.validation, split.test)
    items = [item for part in parts for item, _ in part]
    started = time.monotonic()
    store = open_store(
        data,
        items,
        threads=config.plan.threads or usable_cores(),
        use_cache=config.plan.cache,
        warn=warn,
        team=Team(group.local_rank, group.local_size, group.exchange_here),
    )
    test_seconds = (time.monotonic() - started) * len(split.test) / max(1, len(items))
    facts = {item: known for item, known in store.known.items() if isinstance(known, PictureFacts)}
    unusable = [
        known.message for item in items if isinstance(known := store.known[item], DataError)
    ]
    if items and len(unusable) == len(items):
        raise DataError(
            f"none of {len(items):,} pictures can be used",
            where=data.source,
            remedy=f"the first: {unusable[0]}",
        )
    train, validation, test = (usable(part, store) for part in parts)
    if not len(train.labels):
        raise DataError("no training picture can be used", where=data.source)
    if facts:  # none of a built-in set
        found = picture_findings(
            split, facts, classes=data.classes, height=data.image_height, width=data.image_width
        )
        balanced = config.recipe.balance != "off"
        for line in headlines(found, made_up_for=[Kind.IMBALANCE] if balanced else ()):
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


def usable(part: Labelled, store: Store) -> Pictures:
    """Return the pictures of a part that can be used."""
    kept = [(item, label) for item, label in part if not isinstance(store.known[item], DataError)]
    items = tuple(item for item, _ in kept)
    labels = torch.tensor([label for _, label in kept], dtype=torch.int64)
    return Pictures(images=store.images(items), labels=labels, items=items)
