"""One folder a run: its files, its state, and finding it by a name a person types."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from vixtui.errors import DiskError, UsageError
from vixtui.files import disk_error, write_atomically
from vixtui.paths import command, runs_dir
from vixtui.runs.config import RunConfig, read_config, read_order, write_config
from vixtui.runs.events import Finished, last_event
from vixtui.runs.lock import oom_killed, owner_alive
from vixtui.runs.progress import RunProgress
from vixtui.text import safe

_STARTING_SECONDS = 60
LAST = "last"
# Planning and the screens look at the newest runs again and again.
_CONFIGS_KEPT = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A run on disk; `path` is its folder and the folder's name its id."""

    path: Path

    @property
    def id(self) -> str:
        """Name of the run."""
        return self.path.name

    @property
    def exists(self) -> bool:
        """Whether it is there: what an engine wrote while it was deleted may be left of it."""
        return self.config_path.is_file()

    @property
    def config_path(self) -> Path:
        return self.path / "run.toml"

    @property
    def split_path(self) -> Path:
        return self.path / "split.json"

    @property
    def events_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def control_path(self) -> Path:
        return self.path / "control"

    @property
    def model_path(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def state_path(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def predecessor_path(self) -> Path:
        """The state before the newest, for when that is damaged."""
        return self.path / "state.previous.safetensors"

    @property
    def lock_path(self) -> Path:
        return self.path / "lock"

    @property
    def log_path(self) -> Path:
        return self.path / "log.txt"

    @property
    def evaluation_path(self) -> Path:
        return self.path / "evaluation.json"

    def written(self) -> tuple[int, ...]:
        """Return when decision and log were last written, in nanoseconds; nothing if one is not."""
        try:
            return tuple(path.stat().st_mtime_ns for path in (self.config_path, self.events_path))
        except OSError:
            return ()

    def config(self) -> RunConfig:
        """Read the decision the run started from; anew only if the file has changed.

        Raises:
            UsageError: when ``run.toml`` is missing or damaged.
        """
        try:
            written = self.config_path.stat().st_mtime_ns
        except OSError:
            written = 0
        return _config(self.config_path, written)

    def progress(self) -> RunProgress:
        """Return how far the run has come, from its log."""
        return RunProgress.read(self.events_path)

    def alive(self) -> bool:
        """Tell whether an engine works on this run now."""
        return owner_alive(self.lock_path)

    def oom_killed(self) -> bool:
        """Tell whether the kernel ended its engine for lack of memory, if that is gone."""
        return oom_killed(self.lock_path)

    def state(self, progress: RunProgress | None = None) -> str:
        """Return ``starting training paused testing done stopped failed`` or ``lost``."""
        progress = progress or self.progress()
        if progress.ended or self.alive():
            return progress.phase
        try:
            age = abs(time.time() - self.config_path.stat().st_mtime)  # clocks are set back, too
        except OSError:
            age = _STARTING_SECONDS
        return "starting" if not progress.events and age < _STARTING_SECONDS else "lost"


@lru_cache(maxsize=_CONFIGS_KEPT)
def _config(path: Path, written: int) -> RunConfig:
    """Return a decision; `written` is when its file was."""
    return read_config(path)


def create_run(config: RunConfig, split: bytes) -> RunDirectory:
    """Make the folder of a new run and write its decision and its split.

    Raises:
        UsageError: when the name is taken.
        DiskError: when the folder cannot be written; nothing of it is left.
    """
    number = max((read_order(run.config_path)[0] for run in list_runs()[-1:]), default=0) + 1
    run = RunDirectory(runs_dir() / config.id)
    try:
        run.path.mkdir(parents=True)
    except FileExistsError as error:
        raise _taken(run.id) from error
    except OSError as error:
        raise disk_error(error, run.path) from error
    try:
        write_atomically(run.split_path, split)
        write_config(run.config_path, replace(config, number=number))
    except DiskError:
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    return run


def new_run_id(variant: str) -> str:
    """Return an unused id that sorts by time: ``20261122-0704-hybrid-vin-rope``."""
    stem = f"{time.strftime('%Y%m%d-%H%M')}-{variant}"
    candidate, number = stem, 2
    while (runs_dir() / candidate).exists():
        candidate, number = f"{stem}-{number}", number + 1
    return candidate


def list_runs() -> list[RunDirectory]:
    """Return every run in the order in which they were made, whatever clocks said then."""
    try:
        runs = [RunDirectory(path) for path in runs_dir().iterdir()]
    except OSError:
        return []
    return sorted(
        (run for run in runs if run.exists),
        key=lambda run: (*read_order(run.config_path), run.id),
    )


def find_run(name: str) -> RunDirectory:
    """Return the run of this id, of this unique part of an id, or ``last``.

    Raises:
        UsageError: when none or several match.
    """
    runs = list_runs()
    if name == LAST and runs:
        return runs[-1]
    exact = [run for run in runs if run.id == name]
    matching = exact or [run for run in runs if name and name in run.id]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        remedy = f"see '{command('runs', 'list')}'"
        raise UsageError(f"no run of this name: {name}", where=runs_dir(), remedy=remedy)
    some = ", ".join(run.id for run in matching[:3])
    raise UsageError(f"several runs match {name}", remedy=f"write more of the name: {some}")


def newest_model() -> RunDirectory | None:
    """Return the newest run that has finished; stopped and failed ones do not count."""
    with_weights = (run for run in reversed(list_runs()) if run.model_path.is_file())
    finished = (run for run in with_weights if isinstance(last_event(run.events_path), Finished))
    return next(finished, None)


def check_run_name(name: str) -> None:
    """Make sure that a new run can be given this name.

    Raises:
        UsageError: for an unusable or taken name.
    """
    check_spelling(name)
    if (runs_dir() / name).exists():
        raise _taken(name)


def check_spelling(name: str) -> None:
    """Make sure that a run can have this name, taken or not.

    Raises:
        UsageError: for an unusable name.
    """
    if not _NAME.fullmatch(name) or name == LAST:
        raise UsageError(
            f"not a run name: {name}", remedy="use letters, digits, dot, dash, underscore"
        )


def _taken(name: str) -> UsageError:
    return UsageError("the name is taken", where=name, remedy="choose another")


def rename_run(run: RunDirectory, name: str) -> RunDirectory:
    """Give a run another id.

    Raises:
        UsageError: for an unusable or taken name, a run at work or a damaged ``run.toml``.
        DiskError: when the disk refuses; the run keeps its name.
    """
    check_run_name(name)
    refuse_if_alive(run)
    config, written = run.config(), run.config_path.stat().st_mtime_ns
    target = run.path.with_name(name)
    try:
        run.path.rename(target)
    except OSError as error:
        raise disk_error(error, target) from error
    renamed = RunDirectory(target)
    try:
        write_config(renamed.config_path, replace(config, id=name))
    except DiskError:
        target.rename(run.path)
        raise
    # Its time tells when the run was made.
    os.utime(renamed.config_path, ns=(written, written))
    return renamed


def refuse_if_alive(run: RunDirectory) -> None:
    """Make sure that no engine works on a run.

    Raises:
        UsageError: when one does.
    """
    if run.alive():
        remedy = command("runs", "stop", run.id)
        raise UsageError("the run is at work", where=safe(run.id), remedy=remedy)
