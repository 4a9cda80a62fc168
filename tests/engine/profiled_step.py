"""What the engine's own steps allocate on the CPU, as torch's profiler saw it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.profiler import ProfilerActivity, profile

from vixtui.engine.evaluate import predict_logits
from vixtui.engine.inputs import Normalise
from vixtui.engine.learner import Learner
from vixtui.memory.execution import Execution
from vixtui.models.config import ModelConfig
from vixtui.presets import preset
from vixtui.runs.config import DataConfig, Plan, Recipe, RunConfig
from vixtui.runs.weights import Preprocessing


def config_of(name: str, side: int, channels: int = 3) -> ModelConfig:
    """Return a preset's model for square pictures of ten classes."""
    return preset(name).model_config(
        image_height=side, image_width=side, in_channels=channels, num_classes=10
    )


def real_peak_bytes(config: ModelConfig, batch: int, execution: Execution, steps: int = 2) -> int:
    """Make the engine's updates for real, and an evaluation; return the most allocated at once."""
    run = _run_config(config, batch)
    run = replace(run, plan=replace(run.plan, recompute=execution.recompute))
    shape = batch, config.in_channels, config.image_height, config.image_width
    pictures, labels = torch.zeros(shape, dtype=torch.uint8), torch.zeros(batch, dtype=torch.long)
    grey = Preprocessing(mean=(0.5,) * config.in_channels, std=(0.2,) * config.in_channels)
    device = torch.device("cpu")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        learner = Learner(run, grey, device)
        learner.precision = execution.precision
        for step in range(steps):
            learner.combine(learner.accumulate(pictures, labels, step=step))
            learner.apply(step=step, lr=1e-3)
        predict_logits(learner.averaged, pictures, Normalise(grey, device), batch_size=batch)
    events = recorded.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    live = peak = 0
    for _, change in changes:
        live += change
        peak = max(peak, live)
    return peak


def _run_config(config: ModelConfig, batch: int) -> RunConfig:
    data = DataConfig(
        source="",
        classes=tuple("abcdefghij"),
        image_height=config.image_height,
        image_width=config.image_width,
        in_channels=config.in_channels,
        fingerprint="",
        train=batch,
        validation=0,
        test=0,
    )
    plan = Plan(device="cpu", micro_batch=batch, budget_bytes=1, predicted_peak_bytes=1, basis="")
    recipe = Recipe(epochs=1, batch_size=batch, cutmix=0.5)
    return RunConfig(
        id="run", created="", vixtui="", preset="", seed=0, model=config, data=data, recipe=recipe,
        plan=plan,
    )  # fmt: skip
