"""``control``: the only way to speak to a running engine; works from any terminal."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Literal, get_args

from vixtui.files import write_atomically

Command = Literal["pause", "resume", "stop", "save"]
_MAX_BYTES = 10_000


def send(path: Path, command: Command) -> None:
    """Leave a command for the engine, which looks between steps."""
    record = {"seq": time.time_ns(), "cmd": command}
    write_atomically(path, json.dumps(record).encode())


class Inbox:
    """The engine's side: each command is seen once; those older than the engine never.

    Args:
        path: the control file; may not exist.
        since: when the engine's process started, in seconds since the epoch.
    """

    def __init__(self, path: Path, *, since: float) -> None:
        self._path = path
        mark = self._mark()
        self._seen = mark if mark is not None and mark[0] < since * 1e9 else None

    def poll(self) -> Command | None:
        """Return a command that has come since the last look. Costs one `stat`."""
        if self._mark() == self._seen:
            return None
        try:
            # What is read and what is marked as seen is one file, even if the next comes now.
            with self._path.open("rb") as file:
                self._seen = _identity(os.fstat(file.fileno()))
                command = json.loads(file.read(_MAX_BYTES))["cmd"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return command if command in get_args(Command) else None

    def _mark(self) -> tuple[int, int] | None:
        try:
            return _identity(self._path.stat())
        except OSError:
            return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    """Tell files apart; two that follow each other within a clock tick differ in their inode."""
    return status.st_mtime_ns, status.st_ino
