"""``lock``: one engine a run. A dead owner's lock is taken over."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from vixtui.errors import UsageError
from vixtui.files import write_atomically


def owner_alive(path: Path) -> bool:
    """Tell whether the process that holds the lock still runs.

    A process is known by its id and start time, so that a reused id is no mistake. The owner on
    another host counts as alive: it cannot be looked at from here.
    """
    import psutil

    try:
        owner = json.loads(path.read_bytes())
        if owner["host"] != socket.gethostname():
            return True
        process = psutil.Process(owner["pid"])
        return (
            abs(process.create_time() - owner["started"]) < 2
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return False


def acquire(path: Path) -> None:
    """Make this process the owner of the run.

    Raises:
        UsageError: when another living process owns it.
    """
    import psutil

    if path.exists() and owner_alive(path):
        raise UsageError(
            "another process works on this run", where=path.parent.name, remedy="vixtui attach it"
        )
    me = psutil.Process(os.getpid())
    record = {"host": socket.gethostname(), "pid": me.pid, "started": me.create_time()}
    write_atomically(path, json.dumps(record).encode())


def release(path: Path) -> None:
    """Give the run up."""
    path.unlink(missing_ok=True)
