"""``vixtui attach``: watch a run that is at work."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import typer

from vixtui.cli.options import Json, Run
from vixtui.paths import command

if TYPE_CHECKING:
    from vixtui.runs.directory import RunDirectory


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: vixtui attach last")(attach)


def attach(run: Run = "last", json: Json = False) -> None:
    """Watch a training that is at work; Ctrl+C only leaves it.

    With --json: the events, from the first on, one a line.
    """
    from vixtui.errors import UsageError
    from vixtui.runs.directory import find_run

    found = find_run(run)
    if not found.alive() and (state := found.state()) != "starting":
        remedy = command("runs", "show", found.id)
        if state != "done":
            remedy += f", or {command('runs', 'resume', found.id)}"
        raise UsageError(f"the run is not at work but {state}", where=found.id, remedy=remedy)
    raise typer.Exit(watch(found, json=json, seen=0, stop_on_interrupt=False))


def watch(
    run: RunDirectory,
    *,
    start: Callable[[], subprocess.Popen[bytes]] | None = None,
    seen: int,
    json: bool,
    stop_on_interrupt: bool,
) -> int:
    """Show a run until its end, then its results; return the exit code.

    Args:
        run: what to watch.
        start: starts its engine, where that is left to do.
        seen: events in the log that are no news.
        json: print events instead of bars and results.
        stop_on_interrupt: whether Ctrl+C stops the run or only the watching.
    """
    from vixtui.cli.follow import exit_code, follow
    from vixtui.cli.views import choose_view

    with closing(choose_view(run.id, json=json)) as view:
        watched = follow(run, view, start=start, seen=seen, stop_on_interrupt=stop_on_interrupt)
    code = exit_code(run, watched)
    if not json:
        from vixtui.cli.summary import print_summary, say_what_next

        print_summary(run, watched.progress)
        if watched.progress.phase == "done":
            say_what_next(run)
    return code
