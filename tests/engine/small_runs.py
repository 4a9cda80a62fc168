"""Small runs for the engine's tests."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from vixtui.data.sources import open_source
from vixtui.planning.start import data_config
from vixtui.presets import preset
from vixtui.runs.config import Plan, Recipe, RunConfig
from vixtui.runs.directory import RunDirectory, create_run
from vixtui.runs.events import Event, read_events

WAIT_SECONDS = 300.0


def make_run(
    source: str = "digits",
    *,
    run_id: str = "run",
    preset_name: str = "fnet:tiny",
    micro_batch: int = 64,
    precision: str = "fp32",
    recompute: str = "none",
    seed: int = 0,
    budget_bytes: int = 4 * 10**9,
    threads: int = 1,
    cache: bool = True,
    patch_size: int = 2,
    **recipe: Any,
) -> RunDirectory:
    """Write the directory of a run that is quick to train; of digits, 16 tokens instead of 64."""
    found = open_source(source, seed=seed)
    model = preset(preset_name).model_config(
        image_height=found.image_height,
        image_width=found.image_width,
        in_channels=found.in_channels,
        num_classes=len(found.classes),
    )
    if model.embedding == "linear":
        model = replace(model, patch_size=max(model.patch_size, patch_size))
    plan = Plan(
        device="cpu",
        micro_batch=micro_batch,
        precision=precision,  # type: ignore[arg-type]
        threads=threads,
        recompute=recompute,  # type: ignore[arg-type]
        budget_bytes=budget_bytes,
        predicted_peak_bytes=10**9,
        basis="test",
        cache=cache,
    )
    config = RunConfig(
        id=run_id,
        created="2026-01-01 00:00:00",
        vixtui="0",
        preset=preset(preset_name).name,
        seed=seed,
        model=model,
        data=data_config(found),
        recipe=Recipe(**({"epochs": 2} | recipe)),
        plan=plan,
    )
    return create_run(config, found.split.to_json())


def of(run: RunDirectory, kind: type[Event]) -> list[Event]:
    """Return the events of a kind that a run has told so far."""
    return [event for event in read_events(run.events_path) if isinstance(event, kind)]


def wait_for(run: RunDirectory, kind: type[Event], number: int = 1) -> None:
    """Wait until a run has told so many events of a kind."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if len(of(run, kind)) >= number:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {kind.__name__}: {run.log_path.read_text()}")
