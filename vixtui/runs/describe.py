"""Runs in words and at a glance, the same on the command line and on the screens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from vixtui.errors import ExitCode
from vixtui.paths import command
from vixtui.runs.config import RunConfig
from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import (
    Checkpointed,
    DataChecked,
    Event,
    Failed,
    Finished,
    MemoryRanOut,
    ModelBuilt,
    Paused,
    RateFound,
    Resumed,
    RunStarted,
    StepSkipped,
    Stopped,
    Tested,
    TestStarted,
    ThreadsChanged,
    Validated,
    Warned,
    WentBack,
)
from vixtui.runs.progress import RunProgress
from vixtui.text import counted, format_bytes, format_count, format_percent, format_seconds, safe

_HEIGHTS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """A run at a glance.

    Args:
        state: see `RunDirectory.state`.
        config: None when ``run.toml`` is unreadable.
        started: when the run was made, in seconds since the epoch.
    """

    run: RunDirectory
    state: str
    config: RunConfig | None
    progress: RunProgress
    started: float

    @property
    def best(self) -> float | None:
        """Best validation top-1."""
        return self.progress.best.top1 if self.progress.best else None

    @property
    def test(self) -> float | None:
        """Test top-1."""
        return self.progress.tested.top1 if self.progress.tested else None

    @property
    def seconds(self) -> float | None:
        """Time of the training so far; of an epoch that a stop cut in two, the latest part."""
        progress = self.progress
        if progress.finished is not None:
            return progress.finished.seconds
        step, started = progress.last_step, progress.started
        if step is None or started is None:
            return None
        if not progress.epochs:
            return max(0.0, step.t - started.t)
        epoch = progress.epochs[-1]
        return epoch.seconds + max(0.0, step.t - max(started.t, epoch.t))


def summarise(run: RunDirectory, config: RunConfig | None, progress: RunProgress) -> RunSummary:
    """Sum up a run from what was read of it."""
    try:
        started = run.config_path.stat().st_mtime
    except OSError:
        started = 0.0
    return RunSummary(
        run=run, state=run.state(progress), config=config, progress=progress, started=started
    )


def settings(config: RunConfig) -> dict[str, Any]:
    """Return what a run was set to, nested names joined by dots: ``recipe.lr``."""
    flat: dict[str, Any] = {}
    for name, value in asdict(config).items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": entry for inner, entry in value.items()}
        elif value is not None and name not in ("id", "created", "number", "schema_version"):
            flat[name] = value
    return flat


def differences(configs: Sequence[RunConfig]) -> dict[str, tuple[Any, ...]]:
    """Return the settings in which runs differ, with the value of each run.

    How a prediction came about is no setting.
    """
    flat = [settings(config) for config in configs]
    for values in flat:
        del values["plan.basis"]
    rows = {
        name: tuple(values.get(name) for values in flat)
        for name in dict.fromkeys(name for values in flat for name in values)
    }
    return {name: values for name, values in rows.items() if len(set(map(repr, values))) > 1}


def setting_text(name: str, value: Any) -> str:
    """Return the value of a named setting for people; not yet safe to show."""
    if name.endswith("_bytes") and isinstance(value, int):
        return format_bytes(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "–" if value is None else str(value)


def sparkline(numbers: str) -> str:
    """Return a curve of eight heights, a character a number; what is no number is left out."""
    values = []
    for word in numbers.split():
        with suppress(ValueError):
            values.append(float(word))
    values = [value for value in values if math.isfinite(value)]
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(_HEIGHTS) - 1) / (high - low) if high > low else 0.0
    return "".join(_HEIGHTS[round(scale * (value - low))] for value in values)


def event_text(event: Event) -> str | None:
    """Return an event in words, safe to show, or None for one that only moves a curve."""
    match event:
        case RunStarted():
            again = f", resumed at step {event.resumed_step:,}" if event.resumed_step else ""
            return f"engine started on {device_name(event.device)}{again}"
        case DataChecked():
            left_out = f", {event.unusable:,} unusable left out" if event.unusable else ""
            return (
                f"{event.train:,} pictures to train, {event.validation:,} to validate, "
                f"{event.test:,} to test, {event.num_classes} classes{left_out}"
            )
        case ModelBuilt():
            return (
                f"model ready: {format_count(event.parameters)} parameters, "
                f"{counted(event.threads, 'thread')}, {safe(event.precision)}"
            )
        case RateFound():
            return (
                f"learning rate {event.lr:g} by a sweep; loss from {event.first_rate:.0e} "
                f"to {event.last_rate:.0e}: {sparkline(event.losses)}"
            )
        case Validated():
            kept = ", kept" if event.is_best else ""
            return f"epoch {event.epoch}: {format_percent(event.top1)} validation{kept}"
        case Warned():
            return f"warning: {safe(event.message)}"
        case MemoryRanOut():
            return f"memory ran out: the step is done anew, {reduced_text(event)}"
        case ThreadsChanged():
            return f"updates are fastest on {counted(event.threads, 'thread')} now"
        case StepSkipped():
            return f"step {event.step:,}: the loss is no number or explodes; skipped"
        case WentBack():
            weights = f"those of epoch {event.epoch}" if event.epoch else "the first ones"
            rate = format_percent(event.rate)
            return f"the loss explodes: weights are {weights} again, the rate is {rate} of planned"
        case Paused():
            return "paused, everything saved"
        case Resumed():
            return "goes on"
        case TestStarted():
            return f"testing the kept weights on {event.images:,} pictures"
        case Tested():
            return f"test: {format_percent(event.top1)} right"
        case Stopped():
            return "stopped, everything saved"
        case Finished():
            return f"finished after {format_seconds(event.seconds)}"
        case Failed():
            return f"failed: {safe(event.message)}"
    return None


def reduced_text(event: MemoryRanOut) -> str:
    """Return how a step is computed since memory ran out."""
    recomputed = {"mlp": ", MLPs recomputed", "block": ", blocks recomputed"}
    pictures = counted(event.micro_batch, "picture")
    return f"{pictures} at a time{recomputed.get(event.recompute, '')}"


def was_killed(exit_code: int | None) -> bool:
    """Tell whether an engine's exit code means that the system ended it."""
    return exit_code in (-9, 137)


def death_text(exit_code: int | None, *, oom_killed: bool = False) -> str:
    """Return why an engine is gone that said no last word.

    Args:
        exit_code: None when nobody has seen it.
        oom_killed: whether the kernel has ended a process for lack of memory since it began.
    """
    if oom_killed and (exit_code is None or was_killed(exit_code)):
        return "memory ran out, and the system ended the engine"
    if exit_code == ExitCode.DISK:
        return "the disk is full, or the folder of the run cannot be written"
    if was_killed(exit_code):
        return "something killed the engine: a person, or a guard because memory ran out"
    ended = "" if exit_code is None else f", with code {exit_code}"
    return f"the engine ended without a last word{ended}"


def resume_text(run: RunDirectory, saved: Checkpointed | None, *, oom_killed: bool = False) -> str:
    """Return how to go on with a run that died, or nothing where none of it was saved.

    Args:
        run: that died.
        saved: its last state.
        oom_killed: whether it died for lack of memory.
    """
    less = " in less memory" if oom_killed else ""
    again = command("runs", "resume", run.id)
    return f"'{again}' goes on from step {saved.step}{less}" if saved else ""


def device_name(device: str) -> str:
    """Return a device for people, safe to show: ``the CPU``, ``the GPU (cuda:…)``."""
    return "the CPU" if device == "cpu" else f"the GPU ({safe(device, 30)})"


def source_title(source: str) -> str:
    """Return a data source for people, safe to show: a built-in name or the folder's last part."""
    return safe(source.rstrip("/").rpartition("/")[2] or source, 40)
