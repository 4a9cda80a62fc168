"""``control``: the only way to speak to a running engine; works from any terminal."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Literal, get_args

from vixtui.files import write_atomically

Command = Literal["pause", "resume", "stop", "save"]


def send(path: Path, command: Command) -> None:
    """Leave a command for the engine, which looks between steps."""
    record = {"seq": time.time_ns(), "cmd": command}
    write_atomically(path, json.dumps(record).encode())


class Inbox:
    """The engine's side: each command is seen once; those older than the engine never.

    Args:
        path: the control file; may not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._mtime()

    def poll(self) -> Command | None:
        """Return a command that has come since the last look. Costs one `stat`."""
        mtime = self._mtime()
        if mtime == self._seen:
            return None
        self._seen = mtime
        try:
            record = json.loads(self._path.read_bytes())
            command = record["cmd"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return command if command in get_args(Command) else None

    def _mtime(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return 0
