"""Trains presets on torch's own CUDA allocator, under a limit or none; for `NoopCuda.run`."""

from __future__ import annotations

import gc
import time
from typing import Any

import torch

from vixtui.engine.evaluate import predict_logits
from vixtui.engine.inputs import Normalise
from vixtui.engine.learner import Learner
from vixtui.presets import preset
from vixtui.runs.config import DataConfig, Plan, Recipe, RunConfig
from vixtui.runs.weights import Preprocessing

CHANNELS, CLASSES = 3, tuple("abcdefghij")
PREPROCESSING = Preprocessing(mean=(0.5,) * CHANNELS, std=(0.2,) * CHANNELS)
DEVICE = torch.device("cuda:0")


def answer(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return `peak_allocated`, `peak_reserved`, `trained` and the `events` for each case.

    A case has a `preset`, the `side` of a picture, a `batch`, `precision` and a `limit` in bytes or
    None; if not all at once, a `micro_batch`, and what to `recompute`. Events are recorded if there
    is no limit: [block, size], or [block] when it is freed.
    """
    return [run(case) for case in cases]


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Train from an empty allocator and leave it empty."""
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction((case["limit"] or total) / total)
    torch.cuda.reset_peak_memory_stats()
    if case["limit"] is None:
        torch.cuda.memory._record_memory_history(context=None, max_entries=10**6)
    try:
        train(case)
        trained = True
    except torch.cuda.OutOfMemoryError:
        trained = False
    events = recorded() if case["limit"] is None else None
    torch.cuda.memory._record_memory_history(enabled=None)
    allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    leave_empty()
    return {
        "peak_allocated": allocated,
        "peak_reserved": reserved,
        "trained": trained,
        "events": events,
    }


def leave_empty() -> None:
    """Give all memory back, once autograd's thread has let go of a failed step."""
    deadline = time.monotonic() + 120
    while torch.cuda.memory_reserved():
        assert time.monotonic() < deadline, "memory is still in use"
        gc.collect()
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()


def train(case: dict[str, Any]) -> None:
    """Make the engine's updates, with a validation among them."""
    side, batch = case["side"], case["batch"]
    learner = Learner(config(case, cutmix=0.5), PREPROCESSING, DEVICE)
    learner.precision = case["precision"]
    evaluated = 4 * learner.micro_batch
    images = torch.zeros(max(batch, evaluated), CHANNELS, side, side, dtype=torch.uint8)
    labels = torch.zeros(batch, dtype=torch.long)
    normalise = Normalise(PREPROCESSING, DEVICE)
    # As the engine does, first an update of one picture, which loads what libraries need.
    learner.accumulate(images[:1], labels[:1], step=0)
    learner.forget()
    for step in range(3):
        learner.combine(learner.accumulate(images[:batch], labels, step=step))
        learner.apply(step=step, lr=1e-3)
        if step == 1:
            predict_logits(learner.averaged, images[:evaluated], normalise, batch_size=evaluated)


def config(case: dict[str, Any], *, cutmix: float = 0.0) -> RunConfig:
    """Return a run that needs no files."""
    side, budget = case["side"], case.get("budget", 0)
    return RunConfig(
        id="run",
        created="",
        vixtui="",
        preset=case["preset"],
        seed=0,
        model=preset(case["preset"]).model_config(
            image_height=side, image_width=side, in_channels=CHANNELS, num_classes=len(CLASSES)
        ),
        data=DataConfig(
            source="",
            classes=CLASSES,
            image_height=side,
            image_width=side,
            in_channels=CHANNELS,
            fingerprint="",
            train=case["batch"],
            validation=0,
            test=0,
        ),
        recipe=Recipe(epochs=1, batch_size=case["batch"], cutmix=cutmix),
        plan=Plan(
            device=str(DEVICE),
            micro_batch=case.get("micro_batch", case["batch"]),
            budget_bytes=budget,
            predicted_peak_bytes=budget,
            basis="",
            recompute=case.get("recompute", "none"),
        ),
    )


def recorded() -> list[list[int]]:
    """Return the events since recording began, blocks numbered in order."""
    (trace,) = torch.cuda.memory._snapshot()["device_traces"]
    live: dict[int, int] = {}
    events = []
    for entry in trace:
        if entry["action"] == "alloc":
            live[entry["addr"]] = len(events)
            events.append([len(events), entry["size"]])
        elif entry["action"] == "free_completed":
            events.append([live.pop(entry["addr"])])
    return events
