"""What screens ask of the app."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from vixtui.runs.directory import RunDirectory
from vixtui.tui.choice import Launch


@dataclass
class StartTraining(Message):
    """Start or resume a run and watch it. `title` is safe to show."""

    title: str
    launch: Launch


@dataclass
class OpenRun(Message):
    """Look at a run in a tab."""

    run: RunDirectory
    tab: str
