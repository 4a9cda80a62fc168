"""The results of a run in words, from what lies in its directory."""

from __future__ import annotations

import json
import shlex
from typing import Any

from vixtui.cli import narrate, output
from vixtui.runs.config import RunConfig
from vixtui.runs.directory import RunDirectory
from vixtui.runs.progress import RunProgress
from vixtui.text import format_bytes, format_percent, format_seconds

_WEAKEST = 3


def print_summary(run: RunDirectory, progress: RunProgress) -> None:
    """Print what came out of a run."""
    config = run.config()
    facts = [
        ("model", f"{config.preset}, {config.model.embed_dim} wide, {config.model.depth} deep"),
        ("data", f"{config.data.source}, {len(config.data.classes)} classes"),
        *_training_facts(progress),
        *evaluation_facts(read_evaluation(run)),
        *_memory_facts(config, progress),
    ]
    if run.model_path.is_file():
        size = format_bytes(run.model_path.stat().st_size)
        facts.append(("weights", f"{run.model_path} ({size})"))
    output.print_facts(facts, title=f"run {run.id}: {run.state(progress)}")


def say_what_next(run: RunDirectory) -> None:
    """Name the commands that one wants after a training, on stderr."""
    name = shlex.quote(run.id)
    narrate.note("next:")
    narrate.note(f"  vixtui predict --model {name} PICTURE…")
    narrate.note(f"  vixtui evaluate {name}")
    narrate.note("  vixtui")


def read_evaluation(run: RunDirectory) -> dict[str, Any] | None:
    """Return the evaluation that the engine left, or None when there is no readable one."""
    try:
        found = json.loads(run.evaluation_path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema_version") == 1 else None


def evaluation_facts(found: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return the headline figures of an evaluation, the weakest classes among them."""
    if found is None:
        return []
    low, high = found["top1_interval"]
    facts = [
        (
            f"{found['split']} top-1",
            f"{format_percent(found['top1'])} of {found['images']:,} pictures "
            f"(95 % interval {100 * low:.1f} to {format_percent(high)})",
        ),
    ]
    if 1 < found["top_k"] < len(found["classes"]):
        facts.append((f"{found['split']} top-{found['top_k']}", format_percent(found["top5"])))
    facts.append(("calibration", f"error {format_percent(found['ece'])} (ECE), lower is better"))
    weakest = sorted(
        (entry for entry in found["per_class"] if entry["images"]), key=lambda entry: entry["f1"]
    )[:_WEAKEST]
    if weakest:
        named = (f"{entry['class']} {format_percent(entry['f1'])}" for entry in weakest)
        facts.append(("weakest classes", f"{', '.join(named)} (F1)"))
    return facts


def _training_facts(progress: RunProgress) -> list[tuple[str, str]]:
    facts = []
    if (best := progress.best) is not None:
        facts.append(
            ("best validation", f"{format_percent(best.top1)} top-1 after epoch {best.epoch}")
        )
    if (end := progress.finished) is not None:
        epochs = progress.last_step.epoch if progress.last_step else end.best_epoch
        how = f"{epochs:.1f} epochs in {format_seconds(end.seconds)}, ended by {end.reason}"
        facts.append(("training", how))
    return facts


def _memory_facts(config: RunConfig, progress: RunProgress) -> list[tuple[str, str]]:
    predicted = format_bytes(config.plan.predicted_peak_bytes)
    measured = format_bytes(progress.peak_memory_bytes) if progress.peak_memory_bytes else "nothing"
    budget = format_bytes(config.plan.budget_bytes)
    return [("peak memory", f"predicted {predicted}, measured {measured}, budget {budget}")]
