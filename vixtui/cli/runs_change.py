"""``vixtui runs resume | stop | rename | rm``: commands that change a run."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from vixtui.cli import narrate, output
from vixtui.cli.options import Json, Run
from vixtui.cli.processes import ResumedNproc
from vixtui.paths import command

_STOP_SECONDS = 120


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(epilog="Example: vixtui runs resume last")(resume)
    app.command(epilog="Example: vixtui runs stop last")(stop)
    app.command(epilog="Example: vixtui runs rename last flowers-1")(rename)
    app.command(epilog="Example: vixtui runs rm flowers-1 --yes")(rm)


def resume(
    run: Run = "last",
    nproc: ResumedNproc = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start, and return at once.")] = False,
    json: Json = False,
) -> None:
    """Go on with a run that was stopped, paused, killed or failed, exactly where it was."""
    from functools import partial

    from vixtui.cli.attach import watch
    from vixtui.errors import UsageError
    from vixtui.runs.control import send
    from vixtui.runs.directory import find_run
    from vixtui.runs.process import start_training

    found = find_run(run)
    progress = found.progress()
    state, at_work = found.state(progress), found.alive()
    paused = at_work and state == "paused"
    if not paused and (at_work or state == "done"):
        remedy = command(*(["attach"] if at_work else ["runs", "show"]), found.id)
        raise UsageError(f"the run is {state} already", where=found.id, remedy=remedy)
    found.config()
    if paused:
        send(found.control_path, "resume")
    start = None if paused else partial(start_training, found, nproc)
    if not detach:
        seen = progress.events
        raise typer.Exit(watch(found, start=start, seen=seen, json=json, stop_on_interrupt=True))
    if start:
        start()
    if json:
        output.print_json({"run": found.id, "path": str(found.path)})
    else:
        output.print_line(found.id)
        narrate.note(f"going on; watch it with: {command('attach', found.id)}")


def stop(run: Run = "last", json: Json = False) -> None:
    """Ask a run that is at work to save and stop, and wait until it has."""
    from vixtui.errors import UsageError, VixtuiError
    from vixtui.runs.control import send
    from vixtui.runs.directory import find_run

    found = find_run(run)
    if not found.alive():
        remedy = f"see '{command('runs', 'list')}'"
        raise UsageError("the run is not at work", where=found.id, remedy=remedy)
    send(found.control_path, "stop")
    deadline = time.monotonic() + _STOP_SECONDS
    while found.alive():
        if time.monotonic() > deadline:
            raise VixtuiError(
                f"still at work after {_STOP_SECONDS} s: it stops at the end of its update",
                where=found.id,
                remedy=f"if it does not, see {found.log_path}",
            )
        time.sleep(0.2)
    state = found.state()
    if json:
        output.print_json({"run": found.id, "state": state})
    else:
        output.print_line(f"{found.id}: {state}")


def rename(
    run: Run,
    name: Annotated[str, typer.Argument(help="The new id.", metavar="NAME")],
    json: Json = False,
) -> None:
    """Give a run another id."""
    from vixtui.runs.directory import find_run, rename_run

    renamed = rename_run(find_run(run), name)
    if json:
        output.print_json({"run": renamed.id, "path": str(renamed.path)})
    else:
        output.print_line(renamed.id)


def rm(
    run: Run,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Delete a run with its weights."""
    import sys

    from vixtui.errors import UsageError
    from vixtui.runs.directory import find_run
    from vixtui.runs.removal import remove_run
    from vixtui.text import safe

    found = find_run(run)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("will not delete unasked", where=found.id, remedy="add --yes")
        if not typer.confirm(f"Delete {safe(found.id)} with its weights?", err=True):
            raise typer.Exit
    remove_run(found)
    if json:
        output.print_json({"removed": found.id})
    else:
        output.print_line(f"removed {found.id}")
