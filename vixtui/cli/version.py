"""``vixtui version``: what to name in a bug report."""

from __future__ import annotations

import typer

from vixtui import __version__
from vixtui.cli import output
from vixtui.cli.options import Json

_PACKAGES = ("torch", "torchvision", "textual", "typer", "safetensors", "pillow")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: vixtui version --json")(version)


def print_version_and_leave(wanted: bool) -> None:
    """Answer ``--version``."""
    if wanted:
        output.print_line(f"vixtui {__version__}")
        raise typer.Exit


def version(json: Json = False) -> None:
    """Show the versions of vixtui and of what it stands on."""
    import platform

    versions = {
        "vixtui": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **{package: installed_version(package) for package in _PACKAGES},
    }
    if json:
        output.print_json(versions)
    else:
        output.print_facts([(name, found or "not installed") for name, found in versions.items()])


def installed_version(package: str) -> str | None:
    """Return the version of a distribution by its metadata, None when it is not installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed(package)
    except PackageNotFoundError:
        return None
