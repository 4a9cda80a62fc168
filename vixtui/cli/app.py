"""All commands put together, and the way from arguments to an exit code."""

from __future__ import annotations

from typing import Annotated

import typer

from vixtui.cli import (
    attach,
    bench,
    cache,
    check,
    doctor,
    evaluate,
    predict,
    presets,
    probe,
    recommend,
    runs,
    train,
    version,
)
from vixtui.errors import ExitCode, UsageError
from vixtui.paths import choose_home

PROGRAM = "vixtui"

# Help drawn by Rich would triple the time it takes to come up.
app = typer.Typer(
    name=PROGRAM,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in (probe, bench, recommend, check, train, attach, evaluate, predict, doctor):
    _module.add_to(app)
app.add_typer(runs.app, name="runs")
app.add_typer(presets.app, name="presets")
app.add_typer(cache.app, name="cache")
version.add_to(app)


@app.callback(
    invoke_without_command=True,
    epilog="Example: vixtui train digits --time 45s. Without a command the screens start.",
)
def root(
    context: typer.Context,
    home: Annotated[
        str | None,
        typer.Option("--home", help="Folder of all runs and downloads.", metavar="FOLDER"),
    ] = None,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and leave.",
            is_eager=True,
            callback=version.print_version_and_leave,
        ),
    ] = False,
) -> None:
    """Train an image classifier that fits this machine."""
    if home is not None:
        choose_home(home)
    if context.invoked_subcommand is None:
        from vixtui.cli.screens import start_screens

        raise typer.Exit(start_screens())


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code.

    Raises:
        VixtuiError: whatever the command cannot do, wrong options included.
    """
    try:
        code = app(arguments, prog_name=PROGRAM, standalone_mode=False)
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except Exception as error:
        # The class of Typer's own complaints has moved between its versions; this method has not.
        if not hasattr(error, "format_message"):
            raise
        context = getattr(error, "ctx", None)
        command = context.command_path if context else PROGRAM
        message = " ".join(str(error.format_message()).split()).rstrip(".")
        raise UsageError(message, remedy=f"see '{command} --help'") from error
    return code if isinstance(code, int) else ExitCode.OK
