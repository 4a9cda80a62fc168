"""Runs summed up in a line each, and how two or more of them differ."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from vixtui.errors import UsageError
from vixtui.runs.config import RunConfig
from vixtui.runs.directory import RunDirectory, list_runs
from vixtui.runs.progress import RunProgress


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """A run at a glance. `config` is None when ``run.toml`` is unreadable."""

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
        """Time trained so far."""
        if self.progress.finished is not None:
            return self.progress.finished.seconds
        step, started = self.progress.last_step, self.progress.started
        return step.t - started.t if step is not None and started is not None else None


class History:
    """Reads all runs; a log that has not grown is not read again. Call `read` from one thread."""

    def __init__(self) -> None:
        self._known: dict[RunDirectory, tuple[tuple[int, int], RunProgress]] = {}

    def read(self) -> list[RunSummary]:
        """Return every run, newest first."""
        return [self._summary(run) for run in reversed(list_runs())]

    def _summary(self, run: RunDirectory) -> RunSummary:
        try:
            status = run.events_path.stat()
            mark = (status.st_mtime_ns, status.st_size)
        except OSError:
            mark = (0, 0)
        known = self._known.get(run)
        progress = known[1] if known is not None and known[0] == mark else run.progress()
        self._known[run] = (mark, progress)
        try:
            config = run.config()
        except UsageError:
            config = None
        try:
            started = run.config_path.stat().st_mtime
        except OSError:
            started = 0.0
        return RunSummary(
            run=run,
            state=run.state(progress),
            config=config,
            progress=progress,
            started=started,
        )


_NOT_SETTINGS = {"id", "created", "schema_version", "classes", "fingerprint", "basis"}
_NAMES = {"train": "train pictures", "validation": "val. pictures", "test": "test pictures"}


def differences(configs: list[RunConfig]) -> list[tuple[str, list[str]]]:
    """Return the settings in which runs differ, with the value of each run."""
    flat = [_flat(config) for config in configs]
    names = dict.fromkeys(name for values in flat for name in values)
    rows = [(name, [values.get(name, "-") for values in flat]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def settings(config: RunConfig) -> list[tuple[str, list[str]]]:
    """Return all settings of a run, in the form of `differences`."""
    return [(name, [value]) for name, value in _flat(config).items()]


def _flat(config: RunConfig) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in asdict(config).items():
        entries = value.items() if isinstance(value, dict) else [(name, value)]
        for key, entry in entries:
            if key not in _NOT_SETTINGS:
                values[_NAMES.get(key, key.replace("_", " "))] = _setting(entry)
    return values


def _setting(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def ago(moment: float) -> str:
    """Return how long ago a moment (seconds since the epoch) was: ``3 min ago``."""
    seconds = max(0.0, time.time() - moment)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now"
