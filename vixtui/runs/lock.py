"""``lock``: one engine a run. A dead owner's lock is taken over."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vixtui.errors import UsageError
from vixtui.files import disk_error, write_atomically
from vixtui.hardware.cgroup import oom_kills
from vixtui.paths import command

if TYPE_CHECKING:
    from psutil import Process

_SILENCE_SECONDS = 600.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SAME_SECONDS = 2
_MAX_BYTES = 10_000
_GUARD_SECONDS = 20.0


def owner_alive(path: Path) -> bool:
    """Tell whether the process that holds the lock still runs.

    A process is known by its id and start time, so that a reused id is no mistake. An owner on
    another host (or in a container of another name) cannot be looked at from here: it counts as
    alive while the run's log grows.
    """
    import psutil

    try:
        owner = _read(path)
        if isinstance(owner["host"], str) and owner["host"] != socket.gethostname():
            age = time.time() - path.with_name("events.jsonl").stat().st_mtime
            return abs(age) < _SILENCE_SECONDS  # a clock may have been set back since
        process = psutil.Process(owner["pid"])
        return _same_start(owner, _start(process)) and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, psutil.Error):
        return False


def oom_killed(path: Path) -> bool:
    """Tell whether the kernel has ended a process for lack of memory since the lock was taken.

    Where the owner is gone and has not given the lock up, that was most likely the owner: what
    counts is the innermost control group that it shared with this process.
    """
    try:
        owner, now = _read(path), oom_kills()
        if owner["host"] != socket.gethostname() or owner["boot"] != _boot():
            return False
        before = owner["oom_kills"]
        shared = next((place for place in now if place in before), None)
        return shared is not None and bool(now[shared] > before[shared])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def acquire(path: Path) -> None:
    """Make this process the owner of the run.

    Raises:
        UsageError: when another living process owns it.
        DiskError: when the lock cannot be written.
    """
    import psutil
    from filelock import FileLock

    me = psutil.Process(os.getpid())
    record = {"host": socket.gethostname(), "pid": me.pid, **_start(me), "oom_kills": oom_kills()}
    try:
        # Looking and taking is one act. Without the folder, filelock would wait for it.
        os.stat(path.parent)
        with FileLock(path.with_name(".lock-guard"), timeout=_GUARD_SECONDS):
            if path.exists() and owner_alive(path):
                raise UsageError(
                    "another process works on this run",
                    where=path.parent.name,
                    remedy=f"watch it with '{command('attach', path.parent.name)}'",
                )
            write_atomically(path, json.dumps(record).encode())
    except OSError as error:
        raise disk_error(error, path) from error


def release(path: Path) -> None:
    """Give the run up."""
    path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """Return who took the lock; of a damaged file anything."""
    with path.open("rb") as file:
        return json.loads(file.read(_MAX_BYTES))  # type: ignore[no-any-return]


def _start(process: Process) -> dict[str, Any]:
    """Return when a process started: on the clock, and since which boot of the system."""
    import psutil

    started = process.create_time()
    return {"started": started, "boot": _boot(), "since_boot": started - psutil.boot_time()}


def _boot() -> str:
    """Return what tells this start of the system from others; nothing off Linux."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _same_start(owner: dict[str, Any], found: dict[str, Any]) -> bool:
    if abs(found["started"] - owner["started"]) < _SAME_SECONDS:
        return True
    # On Linux start times are kept since boot and move along when the clock is set.
    if not found["boot"] or found["boot"] != owner.get("boot"):
        return False
    return bool(abs(found["since_boot"] - owner["since_boot"]) < _SAME_SECONDS)
