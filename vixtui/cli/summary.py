"""The results of a run in words, from what lies in its directory."""

from __future__ import annotations

from vixtui.cli import narrate, output
from vixtui.cli.carbon import co2_grams
from vixtui.errors import DataError
from vixtui.paths import command
from vixtui.runs.config import RunConfig
from vixtui.runs.describe import reduced_text
from vixtui.runs.directory import RunDirectory
from vixtui.runs.evaluation import Evaluation, read_evaluation
from vixtui.runs.progress import RunProgress
from vixtui.text import counted, format_bytes, format_percent, format_seconds, safe

_WEAKEST = 3


def print_summary(run: RunDirectory, progress: RunProgress) -> None:
    """Print what came out of a run; damaged test results are told on stderr and left out."""
    config, tested = run.config(), evaluation_of(run)
    model = config.model
    facts = [
        ("model", f"{config.preset}, {model.stages[-1].embed_dim} wide, {model.num_blocks} deep"),
        ("data", f"{config.data.source}, {len(config.data.classes)} classes"),
        *_training_facts(progress),
        *(evaluation_facts(tested) if tested else ()),
        *_memory_facts(config, progress),
        *_energy_facts(progress),
    ]
    if run.model_path.is_file():
        size = format_bytes(run.model_path.stat().st_size)
        facts.append(("weights", f"{run.model_path} ({size})"))
    output.print_facts(facts, title=f"run {run.id}: {run.state(progress)}")


def say_what_next(run: RunDirectory) -> None:
    """Name the commands that one wants after a training, on stderr."""
    narrate.note("next:")
    narrate.note(f"  {command('predict', '--model', run.id)} PICTURE…")
    narrate.note(f"  {command('evaluate', run.id)}")
    narrate.note(f"  {command()}   (the screens)")


def evaluation_of(run: RunDirectory) -> Evaluation | None:
    """Return a run's test results; damaged ones are told on stderr and count as none."""
    try:
        return read_evaluation(run.evaluation_path)
    except DataError as error:
        narrate.note(f"warning: {error.message}")
        return None


def evaluation_facts(found: Evaluation) -> list[tuple[str, str]]:
    """Return the headline figures of an evaluation, the weakest classes among them."""
    low, high = found.top1_interval
    facts = [
        (
            f"{found.split} top-1",
            f"{format_percent(found.top1)} of {counted(found.images, 'picture')} "
            f"(95 % interval {100 * low:.1f} to {format_percent(high)})",
        ),
    ]
    if 1 < found.top_k < len(found.classes):
        facts.append((f"{found.split} top-{found.top_k}", format_percent(found.top5)))
    facts.append(("calibration", f"error {format_percent(found.ece)} (ECE), lower is better"))
    weakest = sorted((f1, score.name) for score in found.per_class if (f1 := score.f1) is not None)
    if weakest:
        named = (f"{name} {format_percent(f1)}" for f1, name in weakest[:_WEAKEST])
        facts.append(("weakest classes", f"{', '.join(named)} (F1)"))
    return facts


def _training_facts(progress: RunProgress) -> list[tuple[str, str]]:
    facts = []
    if (best := progress.best) is not None:
        facts.append(
            ("kept weights", f"{format_percent(best.top1)} validation top-1, epoch {best.epoch}")
        )
    if (end := progress.finished) is not None:
        epochs = progress.last_step.epoch if progress.last_step else end.best_epoch
        how = f"{epochs:.1f} epochs in {format_seconds(end.seconds)}, ended by {end.reason}"
        if end.reason == "time" and epochs < 1:
            how += ": too short to learn, give more --time"
        facts.append(("training", how))
    return facts


def _energy_facts(progress: RunProgress) -> list[tuple[str, str]]:
    if (end := progress.finished) is None or not end.energy_basis:
        return []
    if end.energy_joules is None:
        return [("energy", f"unknown: {safe(end.energy_basis)}")]
    used = f"{end.energy_joules / 3600:,.2f} Wh measured: {safe(end.energy_basis)}"
    grams = co2_grams(end.energy_joules)
    return [("energy", used if grams is None else f"{used}; {grams:,.1f} g CO₂")]


def _memory_facts(config: RunConfig, progress: RunProgress) -> list[tuple[str, str]]:
    predicted = format_bytes(config.plan.expected_peak_bytes)
    measured = format_bytes(progress.peak_memory_bytes) if progress.peak_memory_bytes else "nothing"
    budget = format_bytes(config.plan.budget_bytes)
    facts = [("peak memory", f"predicted {predicted}, measured {measured}, budget {budget}")]
    if (last := progress.memory_ran_out) is not None:
        facts.append(("memory ran out", f"{reduced_text(last)}, planned {config.plan.micro_batch}"))
    return facts
