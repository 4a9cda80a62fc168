"""``vixtui doctor``: all that a bug report needs, and nothing private."""

from __future__ import annotations

import getpass
import platform
import re
from collections.abc import Callable
from pathlib import Path

import typer

from vixtui.cli import narrate, output
from vixtui.cli.options import Json

Facts = dict[str, str]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: vixtui doctor --json")(doctor)


def doctor(json: Json = False) -> None:
    """Show what a bug report needs, and nothing private.

    Versions, terminal, limits, drivers, what was tried and how it failed, without the names of
    user, host and home folder and without UUIDs of GPUs. torch is asked in a process of its own,
    which takes a few seconds.
    """
    from vixtui.cli import diagnosis

    narrate.note("looking at this machine; torch takes a few seconds")
    report = {
        collect.__name__: _collected(collect)
        for collect in (
            diagnosis.versions,
            diagnosis.system,
            diagnosis.terminal,
            diagnosis.environment,
            diagnosis.limits,
            diagnosis.gpus,
            diagnosis.tried,
        )
    }
    if json:
        output.print_json(report)
        return
    for title, facts in report.items():
        output.print_facts(list(facts.items()) or [("nothing", "")], title=title)


def _collected(collect: Callable[[], Facts]) -> Facts:
    """Return facts without anything private; what fails is itself a fact."""
    try:
        facts = collect()
    except Exception as error:
        facts = {"failed": f"{type(error).__name__}: {error}"}
    return {name: without_secrets(value) for name, value in facts.items()}


def without_secrets(text: str) -> str:
    """Return `text` without the names of user, host and home folder, and UUIDs of GPUs."""
    for home in {str(Path.home()), str(Path.home().resolve())} - {"/"}:
        text = text.replace(home, "~")
    text = re.sub(r"\b(GPU|MIG)-[\w/-]*\d[\w/-]*", r"\1-…", text)
    for name, mark in ((_user(), "<user>"), *((host, "<host>") for host in _hosts())):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", mark, text) if name else text
    return text


def _user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # nobody knows
        return ""
    return "" if name == "root" else name


def _hosts() -> list[str]:
    """Return the name of this host, also without its domain."""
    name = platform.node()
    return [] if name.partition(".")[0] in ("", "localhost") else [name, name.partition(".")[0]]
