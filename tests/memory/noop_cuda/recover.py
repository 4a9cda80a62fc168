"""Makes updates on torch's own CUDA allocator under a limit; for `NoopCuda.run`."""

from __future__ import annotations

from typing import Any

import torch
from train import CHANNELS, DEVICE, PREPROCESSING, config

from vixtui.engine.learner import Learner
from vixtui.engine.limit import limit_memory
from vixtui.engine.recovery import Recovery

STEPS = 2


def answer(given: dict[str, Any]) -> dict[str, Any]:
    """Return the `changes` [micro-batch, recompute] on the way, and the most `allocated`.

    Given are a `preset`, the `side` of a picture, the `batch`, and the `budget` in bytes, context
    included.
    """
    limit_memory(DEVICE, given["budget"])
    learner = Learner(config(given), PREPROCESSING, DEVICE)
    changes: list[list[Any]] = []
    recovery = Recovery(learner, DEVICE, lambda *change: changes.append(list(change)))
    images = torch.zeros(given["batch"], CHANNELS, given["side"], given["side"], dtype=torch.uint8)
    labels = torch.zeros(given["batch"], dtype=torch.long)
    for step in range(STEPS):
        recovery.run(lambda step=step: learner.accumulate(images, labels, step=step))
        learner.apply(step=step, lr=1e-3)
    return {"changes": changes, "allocated": torch.cuda.max_memory_allocated()}
