"""A run told in words: log lines, facts, and what to do when it did not end well."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import isfinite

from textual.content import Content

from vixtui.errors import ExitCode
from vixtui.runs.config import RunConfig
from vixtui.runs.describe import death_text, event_text, was_killed
from vixtui.runs.events import Event
from vixtui.runs.progress import RunProgress
from vixtui.text import counted, format_bytes, format_count, format_percent, format_seconds, safe
from vixtui.tui.widgets.bars import bar

Facts = list[tuple[str, str]]
_NAME = 10
_TWO_COLUMNS = 70
_ROWS_OF_TWO = 5


@dataclass(frozen=True, slots=True)
class Advice:
    """What happened to a run that does not train any more, and what to do about it."""

    what: str
    remedy: str


def log_line(event: Event) -> str | None:
    """Return one line for the log, or None for events that the charts show."""
    text = event_text(event)
    if text is None:
        return None
    return f"{time.strftime('%H:%M:%S', time.localtime(event.t))} {text}"


def facts(config: RunConfig | None, progress: RunProgress, state: str, *, ascii: bool) -> Facts:
    """Return the figures beside the charts, most important first."""
    rows: Facts = [("State", state_words(state, ascii=ascii))]
    step, built = progress.last_step, progress.model
    if step is not None:
        done = 1.0 if progress.finished else step.progress
        of = f"/{built.epochs}" if built is not None and built.epochs else ""
        rows.append(("Done", f"{bar(done, 14, ascii=ascii, empty='░')} {100 * done:.0f} %"))
        rows.append(("Epoch", f"{step.epoch:.1f}{of}   step {step.step:,}"))
        rows.append(("Time", _time_words(progress, state)))
    if progress.best is not None:
        best = progress.best
        rows.append(("Kept", f"{format_percent(best.top1)} validation, epoch {best.epoch}"))
    if step is not None:
        rows.append(("Speed", f"{step.images_per_second:,.0f} pictures/s"))
    if config is not None:
        rows += _memory_facts(config, progress)
    if progress.checkpoint is not None:
        rows.append(("Saved", f"at step {progress.checkpoint.step:,}"))
    if step is not None:
        rows.append(("Rate", f"{step.lr:.2g} learning rate"))
        rows.append(("Gradient", f"{step.grad_norm:.2g} norm"))
    if progress.skipped:
        rows.append(("Skipped", f"{counted(progress.skipped, 'step')} without a usable loss"))
    if built is not None:
        rows.append(("Model", f"{format_count(built.parameters)} parameters"))
        rows.append(("Compute", f"{counted(built.threads, 'thread')}, {safe(built.precision)}"))
    return rows


def fact_text(rows: Facts, width: int) -> Content:
    """Return facts in one column, or in two where the room is wide and low."""
    lines = [Content.assemble((f"{name:<{_NAME}}", "bold"), value) for name, value in rows]
    if width < _TWO_COLUMNS:
        return Content("\n").join(lines)
    left, right = lines[:_ROWS_OF_TWO], lines[_ROWS_OF_TWO : 2 * _ROWS_OF_TWO]
    half = width // 2
    return Content("\n").join(
        Content.assemble(
            line.truncate(half - 1, ellipsis=True, pad=True),
            " ",
            right[row] if row < len(right) else "",
        )
        for row, line in enumerate(left)
    )


def _time_words(progress: RunProgress, state: str) -> str:
    if progress.finished is not None:
        return f"{format_seconds(progress.finished.seconds)} in all"
    step, started = progress.last_step, progress.started
    assert step is not None
    elapsed = format_seconds(max(0.0, step.t - started.t)) if started else "?"
    if progress.ended or state == "lost" or not isfinite(step.eta_seconds):
        return elapsed
    return f"{elapsed}, about {format_seconds(step.eta_seconds)} to go"


def _memory_facts(config: RunConfig, progress: RunProgress) -> Facts:
    plan = config.plan
    allowed = format_bytes(plan.budget_bytes)
    peak = progress.peak_memory_bytes
    return [
        ("Memory", f"{format_bytes(peak)} peak of {allowed}" if peak else f"{allowed} allowed"),
        ("Predicted", f"{format_bytes(plan.expected_peak_bytes)} peak"),
    ]


_SIGNS = {
    "starting": "◌", "training": "●", "paused": "‖", "testing": "●", "done": "✓",
    "stopped": "■", "failed": "✗", "lost": "?",
}  # fmt: skip


def state_words(state: str, *, ascii: bool) -> str:
    """Return a state with its sign."""
    words = "starting engine" if state == "starting" else state
    return words if ascii else f"{_SIGNS.get(state, ' ')} {words}"


def advice(
    state: str, progress: RunProgress, engine_exit: int | None, *, oom_killed: bool = False
) -> Advice | None:
    """Return what to tell about a run that ended badly or waits, or None.

    Args:
        engine_exit: exit code of the engine when this program started it and it is gone.
        oom_killed: whether the kernel ended it for lack of memory.
    """
    if progress.failed is not None:
        remedy = "Press r to try again from the last save."
        if progress.failed.exit_code == ExitCode.DOES_NOT_FIT:
            remedy = "Press 1 for a smaller model or more memory, or r to try again."
        return Advice(safe(progress.failed.message), remedy)
    if state == "stopped":
        return Advice("Stopped; everything is saved.", "Press r to go on, or Enter for the test.")
    if state != "lost":
        return None
    what = sentence(death_text(engine_exit, oom_killed=oom_killed))
    if was_killed(engine_exit) or oom_killed:
        return Advice(
            what,
            "Close other programs, press r to go on from the last save; or pick a smaller model.",
        )
    return Advice(
        what, "Press r to go on from the last save. log.txt in the run's folder may say why."
    )


def sentence(words: str) -> str:
    """Return words as a sentence, safe to show."""
    words = safe(words)
    return f"{words[:1].upper()}{words[1:]}."
