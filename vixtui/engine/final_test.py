"""The test after the last step: the kept weights on pictures that training never saw."""

from __future__ import annotations

import json
from dataclasses import replace

from vixtui.engine import evaluate
from vixtui.engine.reporter import Reporter
from vixtui.engine.setup import Setup
from vixtui.engine.weights import read_weights, save_weights
from vixtui.files import write_atomically
from vixtui.runs import events
from vixtui.runs.directory import RunDirectory


def score_kept_weights(run: RunDirectory, setup: Setup, reporter: Reporter) -> None:
    """Write ``evaluation.json`` and note its headline in the weights file.

    The kept weights take the place of the averaged ones, which are of no more use.

    Raises:
        DiskError: when either cannot be written.
    """
    pictures = setup.pictures.test
    if not len(pictures.labels):
        return
    reporter.write(events.TestStarted, split="test", images=len(pictures.labels))
    model, card = setup.learner.averaged, setup.card
    if setup.group.first:
        card = read_weights(run.model_path, model)
    setup.group.copy_from_first(model.state_dict().values())
    logits, speed = setup.logits(model, pictures.images)
    if not setup.group.first:
        return
    source = setup.config.data.source
    result = evaluate.report(logits, pictures, classes=card.classes, source=source, split="test")
    result |= {"images_per_second": speed, "model": run.id}
    write_atomically(run.evaluation_path, json.dumps(result).encode())
    tested = {name: result[name] for name in ("top1", "top5", "loss", "images")}
    metrics = card.metrics | {"test": tested}
    save_weights(run.model_path, model.state_dict(), replace(card, metrics=metrics))
    reporter.write(events.Tested, split="test", **tested)
