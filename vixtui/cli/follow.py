"""Watching a run from the outside: its log in, a view fed, until its last word."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from vixtui.cli.narrate import note
from vixtui.errors import (
    BY_EXIT_CODE,
    DiskError,
    DoesNotFitError,
    ExitCode,
    UsageError,
    VixtuiError,
)
from vixtui.paths import command
from vixtui.runs.control import send
from vixtui.runs.describe import death_text, resume_text, was_killed
from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import Event, EventTail
from vixtui.runs.progress import RunProgress
from vixtui.text import joined, safe

_POLL_SECONDS = 0.1
_LEAVE_SECONDS = 30
_TAIL_BYTES = 4096
# What Python and the loader of libraries say where there is no memory to start with.
_NO_MEMORY = ("failed to map segment", "Cannot allocate memory", "MemoryError")


class View(Protocol):
    """Shows a run while it goes on."""

    def show(self, event: Event, progress: RunProgress) -> None:
        """Take note of an event that `progress` has in it already."""

    def refresh(self, progress: RunProgress) -> None:
        """Draw, after all events of one look."""

    def close(self) -> None:
        """Leave the terminal as it was."""


@dataclass(frozen=True, slots=True)
class Watched:
    """How watching ended: all that is known of the run, and whether Ctrl+C was pressed."""

    progress: RunProgress
    interrupted: bool


def follow(
    run: RunDirectory,
    view: View,
    *,
    start: Callable[[], subprocess.Popen[bytes]] | None = None,
    seen: int = 0,
    stop_on_interrupt: bool,
) -> Watched:
    """Feed `view` with the run's events until the engine's last word or its death.

    Args:
        run: what to watch.
        view: shows it; gets no event before number `seen`.
        start: starts the engine, where that is left to do; otherwise the run's lock tells
            whether one is at work.
        seen: events that were in the log before; a last word among them is an old one.
        stop_on_interrupt: Ctrl+C or SIGTERM asks the engine to save and stop, and waits for it;
            the second one, or when False the first, only ends the watching.

    Raises:
        KeyboardInterrupt: when the watching ends and the run goes on.
        VixtuiError: when the engine died without a word.
    """
    tail, progress = EventTail(run.events_path), RunProgress()
    asked = False
    with _counted_interrupts() as presses:
        engine = start() if start else None
        while True:
            gone = _gone(run, progress, engine)
            news = _take_in(tail.poll(), progress, view, seen)
            if gone or (progress.ended and news):
                break
            if presses() > (1 if stop_on_interrupt else 0):
                note(f"the run goes on by itself; watch it with: {command('attach', run.id)}")
                raise KeyboardInterrupt
            if presses() and not asked:
                note("stopping: saving what is learned; Ctrl+C again leaves it to itself")
                send(run.control_path, "stop")
                asked = True
            time.sleep(_POLL_SECONDS)
    if not progress.ended or (engine and not news):
        raise _died(run, progress, engine)
    if engine:
        with suppress(subprocess.TimeoutExpired):
            engine.wait(timeout=_LEAVE_SECONDS)
    return Watched(progress, interrupted=presses() > 0)


def _take_in(events: list[Event], progress: RunProgress, view: View, seen: int) -> bool:
    """Apply events and show the new ones; return whether anything new has come so far."""
    for event in events:
        progress.apply(event)
        if progress.events > seen:
            view.show(event, progress)
    if progress.events > seen:
        view.refresh(progress)
    return progress.events > seen


def exit_code(run: RunDirectory, watched: Watched) -> int:
    """Say how to go on after a stop; return the exit code of a command that watched a run.

    Raises:
        VixtuiError: of the kind that the run failed with.
    """
    progress = watched.progress
    if progress.phase == "failed" and progress.failed is not None:
        raise BY_EXIT_CODE.get(progress.failed.exit_code, VixtuiError)(progress.failed.message)
    if progress.phase != "stopped":
        return ExitCode.OK
    note(f"stopped and saved; go on with: {command('runs', 'resume', run.id)}")
    return ExitCode.INTERRUPTED if watched.interrupted else ExitCode.OK


def _gone(run: RunDirectory, progress: RunProgress, engine: subprocess.Popen[bytes] | None) -> bool:
    if engine:
        return engine.poll() is not None
    return not run.alive() if progress.ended else run.state(progress) == "lost"


def _died(
    run: RunDirectory, progress: RunProgress, engine: subprocess.Popen[bytes] | None
) -> VixtuiError:
    code, oom_killed = engine.returncode if engine else None, run.oom_killed()
    saved = progress.checkpoint
    resume = resume_text(run, saved, oom_killed=oom_killed)
    what = death_text(code, oom_killed=oom_killed)
    if not run.exists:
        return DiskError("the folder of the run is gone", where=run.path)
    if code == ExitCode.USAGE and run.alive():
        return UsageError(
            "another process works on this run",
            where=run.id,
            remedy=f"watch it with: {command('attach', run.id)}",
        )
    if code == ExitCode.DISK:
        built, again = progress.model, f"'{command('runs', 'resume', run.id)}'"
        kept = f"kept epoch {saved.step // built.steps_per_epoch}; " if saved and built else ""
        return DiskError(what, where=run.path, remedy=f"{kept}free some space, then {again}")
    if was_killed(code) or (code is None and oom_killed):
        remedy = joined(resume, "a smaller --budget needs less")
        return DoesNotFitError(what, where=run.id, remedy=remedy)
    last = _last_words(run)
    what = ": ".join(filter(None, [what, safe(last)]))
    if any(sign in last for sign in _NO_MEMORY):
        return DoesNotFitError(
            what, where=run.log_path, remedy="close other programs, or raise 'ulimit -v'"
        )
    return VixtuiError(what, where=run.log_path, remedy=joined("the log tells more", resume))


def _last_words(run: RunDirectory) -> str:
    """Return the last line that an engine left in its log, not yet safe to show."""
    try:
        with run.log_path.open("rb") as log:
            log.seek(max(0, run.log_path.stat().st_size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


@contextmanager
def _counted_interrupts() -> Iterator[Callable[[], int]]:
    """Count Ctrl+C and SIGTERM instead of ending in the middle; yield the count as a function."""
    presses = 0

    def count(number: int, frame: FrameType | None) -> None:
        nonlocal presses
        presses += 1

    before = {name: signal.signal(name, count) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: presses
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
