"""What runs teach about memory: how much they took, and where it ran out.

A lesson is read from a run's directory; that of a removed run is kept in ``lessons.json``.
"""

from __future__ import annotations

import json
import mmap
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from vixtui.errors import ExitCode, VixtuiError
from vixtui.files import write_atomically
from vixtui.models.config import ModelConfig, Recompute
from vixtui.paths import home
from vixtui.runs.bounds import check_size
from vixtui.runs.config import Precision, RunConfig
from vixtui.runs.directory import RunDirectory, list_runs
from vixtui.runs.events import (
    DataChecked,
    Failed,
    Finished,
    MemoryRanOut,
    RunStarted,
    Stopped,
    decode,
    last_event,
    read_events,
)
from vixtui.runs.ways import LEVELS, Way, smaller

SCHEMA_VERSION = 1
_RUNS_LOOKED_AT = 20
_KEPT = 100
_MAX_BYTES = 2_000_000
_MARK = b'"MemoryRanOut"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """What one run tells about memory.

    Args:
        run: its id.
        device: where it ran, as in its plan.
        preset, model: what it trained.
        images: training pictures.
        batch_size: pictures a weight update, of one process.
        micro_batch, precision, recompute: how it was planned to compute an update.
        budget_bytes: memory that each process might use.
        peak_bytes: measured over a whole run; 0 when it has not finished.
        left_micro_batch, left_recompute: how it went on after memory ran out; 0 when it never did.
        given_up: whether memory ran out in the smallest way, too.
    """

    run: str
    device: str
    preset: str
    model: ModelConfig
    images: int
    batch_size: int
    micro_batch: int
    precision: Precision
    recompute: Recompute
    budget_bytes: int
    peak_bytes: int
    left_micro_batch: int = 0
    left_recompute: Recompute = "none"
    given_up: bool = False

    @property
    def ran_out(self) -> bool:
        """Whether memory ran out."""
        return self.left_micro_batch > 0 or self.given_up


def lessons_path() -> Path:
    """Return where the lessons of removed runs are."""
    return home() / "lessons.json"


def read_lessons() -> list[Lesson]:
    """Return what the newest runs teach, newest first, then what removed ones did."""
    newest = reversed(list_runs()[-_RUNS_LOOKED_AT:])
    found = [lesson for run in newest if (lesson := lesson_of(run)) is not None]
    known = {lesson.run for lesson in found}
    return [*found, *(lesson for lesson in _read_kept() if lesson.run not in known)]


def lesson_of(run: RunDirectory) -> Lesson | None:
    """Return what a run teaches, or None for one that has neither finished nor run out."""
    written = run.written()
    return _lesson_of(run, written, run.oom_killed() and not run.alive()) if written else None


def way_left(run: RunDirectory) -> Way | None:
    """Return how a run went on when memory ran out for the last time; None if it never did."""
    event = _last_time_it_ran_out(run.events_path)
    if event is None or event.micro_batch < 1:
        return None
    level = next((level for level in LEVELS if level == event.recompute), None)
    return None if level is None else (event.micro_batch, level)


def way_after_kill(run: RunDirectory) -> Way | None:
    """Return how a run whose engine the kernel ended for lack of memory goes on in less.

    None after the smallest way, and where the pictures, not the model, had no room.

    Raises:
        UsageError: when ``run.toml`` is missing or damaged.
    """
    return smaller(*_last_way(run)) if _died_learning(run) else None


def keep_lesson(run: RunDirectory) -> None:
    """Write down what a run teaches, before it is removed.

    Raises:
        DiskError: when that cannot be written.
    """
    lesson = lesson_of(run)
    if lesson is None:
        return
    others = [other for other in _read_kept() if other.run != lesson.run]
    entries = [
        {**asdict(entry), "model": entry.model.to_dict()} for entry in (lesson, *others)[:_KEPT]
    ]
    content = {"schema_version": SCHEMA_VERSION, "lessons": entries}
    write_atomically(lessons_path(), json.dumps(content, indent=1).encode() + b"\n")


@lru_cache(maxsize=4 * _RUNS_LOOKED_AT)
def _lesson_of(run: RunDirectory, written: tuple[int, ...], oom_killed: bool) -> Lesson | None:
    """Return a run's lesson.

    Args:
        run: where to look.
        written: when its files were last written; if that changes, they are read again.
        oom_killed: whether the kernel ended its engine for lack of memory.
    """
    end, left = last_event(run.events_path), way_left(run)
    peak_bytes = end.peak_memory_bytes if isinstance(end, Finished) else 0
    killed = oom_killed and _died_learning(run)
    failed = killed or (isinstance(end, Failed) and end.exit_code == ExitCode.DOES_NOT_FIT)
    if peak_bytes <= 0 and left is None and not failed:
        return None
    try:
        config, following = run.config(), smaller(*_last_way(run))
    except VixtuiError:  # a damaged run teaches nothing
        return None
    given_up = failed and following is None  # else something other than a step had no room
    if killed:
        left = following or left
    if peak_bytes <= 0 and left is None and not given_up:
        return None
    plan, (left_micro_batch, left_recompute) = config.plan, left or (0, "none")
    return Lesson(
        run=run.id,
        device=plan.device,
        preset=config.preset,
        model=config.model,
        images=config.data.train,
        batch_size=_batch_size(config),
        micro_batch=plan.micro_batch,
        precision=plan.precision,
        recompute=plan.recompute,
        budget_bytes=plan.budget_bytes,
        peak_bytes=peak_bytes,
        left_micro_batch=left_micro_batch,
        left_recompute=left_recompute,
        given_up=given_up,
    )


def _last_way(run: RunDirectory) -> Way:
    """Return how a run computed at last.

    Raises:
        UsageError: when ``run.toml`` is missing or damaged.
    """
    config = run.config()
    planned = min(config.plan.micro_batch, _batch_size(config)), config.plan.recompute
    return way_left(run) or planned


def _batch_size(config: RunConfig) -> int:
    """Return the pictures a weight update, of one process."""
    return -(-min(config.recipe.batch_size, config.data.train) // config.plan.nproc)


def _died_learning(run: RunDirectory) -> bool:
    """Tell whether the last engine had its pictures in memory and has said no last word."""
    learning = False
    for event in read_events(run.events_path):
        if isinstance(event, RunStarted | DataChecked | Finished | Stopped | Failed):
            learning = isinstance(event, DataChecked)
    return learning


def _last_time_it_ran_out(path: Path) -> MemoryRanOut | None:
    """Return the last such event of a log, which may be long, without decoding the others."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
            at = log.rfind(_MARK)
            if at < 0:
                return None
            start, end = log.rfind(b"\n", 0, at) + 1, log.find(b"\n", at)
            event = decode(log[start:end]) if end > 0 else None
    except (OSError, ValueError):  # an empty log cannot be mapped
        return None
    return event if isinstance(event, MemoryRanOut) else None


def _read_kept() -> list[Lesson]:
    """Return the lessons of removed runs, newest first; a damaged file holds none."""
    path = lessons_path()
    try:
        if path.stat().st_size > _MAX_BYTES:
            return []
        content = json.loads(path.read_bytes())
        if content["schema_version"] != SCHEMA_VERSION:
            return []
        return [_lesson(entry) for entry in content["lessons"][:_KEPT]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []


_KINDS: dict[str, Any] = {"str": str, "int": int, "bool": bool}
_CHOICES: dict[str, tuple[str, ...]] = {
    "Precision": get_args(Precision),
    "Recompute": get_args(Recompute),
}


def _lesson(entry: dict[str, Any]) -> Lesson:
    """Return one entry of the file, checked.

    Raises:
        ValueError, TypeError, KeyError: when it is damaged.
    """
    if not isinstance(entry["model"], dict):
        raise ValueError("model is damaged")
    model = ModelConfig.from_dict(entry["model"])
    check_size(model)
    values: dict[str, Any] = {"model": model}
    for field in fields(Lesson):
        kind, value = str(field.type), entry[field.name]
        if kind == "ModelConfig":
            continue
        if choices := _CHOICES.get(kind):
            fine = value in choices
        else:
            fine = type(value) is _KINDS[kind] and (kind != "int" or 0 <= value < 2**63)
        if not fine:
            raise ValueError(f"{field.name} is damaged")
        values[field.name] = value
    if min(values[name] for name in ("images", "batch_size", "micro_batch")) < 1:
        raise ValueError("counts are at least 1")
    return Lesson(**values)
