"""All runs, read again only where something has changed."""

from __future__ import annotations

import time

from vixtui.errors import UsageError
from vixtui.runs.describe import RunSummary, summarise
from vixtui.runs.directory import RunDirectory, list_runs
from vixtui.runs.progress import RunProgress


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
        return summarise(run, config, progress)


def ago(moment: float) -> str:
    """Return how long ago a moment (seconds since the epoch) was: ``3 min ago``."""
    seconds = max(0.0, time.time() - moment)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now"
