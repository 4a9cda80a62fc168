"""Makes updates on torch's own CUDA allocator under a limit; for `NoopCuda.run`."""

from __future__ import annotations

from typing import Any

import torch

from vixtui.engine.learner import Learner
from vixtui.engine.limit import limit_memory
from vixtui.engine.recovery import Recovery
from vixtui.presets import preset
from vixtui.runs.config import DataConfig, Plan, Recipe, RunConfig
from vixtui.runs.weights import Preprocessing

SIDE, CLASSES, STEPS = 32, tuple("abcdefghij"), 2


def answer(given: dict[str, Any]) -> dict[str, Any]:
    """Return the `changes` [micro-batch, recompute] on the way, and the most `allocated`.

    Given are a `preset`, the `batch`, and the `budget` in bytes, context included.
    """
    device = torch.device("cuda:0")
    limit_memory(device, given["budget"])
    learner = Learner(config(given), Preprocessing(mean=(0.5,) * 3, std=(0.2,) * 3), device)
    changes: list[list[Any]] = []
    recovery = Recovery(learner, device, lambda *change: changes.append(list(change)))
    images = torch.zeros(given["batch"], 3, SIDE, SIDE, dtype=torch.uint8)
    labels = torch.zeros(given["batch"], dtype=torch.long)
    for step in range(STEPS):
        recovery.run(lambda step=step: learner.accumulate(images, labels, step=step))
        learner.apply(step=step, lr=1e-3)
    return {"changes": changes, "allocated": torch.cuda.max_memory_allocated()}


def config(given: dict[str, Any]) -> RunConfig:
    """Return a run that needs no files."""
    return RunConfig(
        id="run",
        created="",
        vixtui="",
        preset=given["preset"],
        seed=0,
        model=preset(given["preset"]).model_config(
            image_height=SIDE, image_width=SIDE, in_channels=3, num_classes=len(CLASSES)
        ),
        data=DataConfig(
            source="",
            classes=CLASSES,
            image_height=SIDE,
            image_width=SIDE,
            in_channels=3,
            fingerprint="",
            train=given["batch"],
            validation=0,
            test=0,
        ),
        recipe=Recipe(epochs=1, batch_size=given["batch"]),
        plan=Plan(
            device="cuda:0",
            micro_batch=given["batch"],
            budget_bytes=given["budget"],
            predicted_peak_bytes=given["budget"],
            basis="",
        ),
    )
