"""An app over a made-up machine, and ways to look at it and to wait for it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import tui_fakes  # noqa: E402

from vixtui.runs import process  # noqa: E402
from vixtui.tui import choice  # noqa: E402
from vixtui.tui.app import VixtuiApp  # noqa: E402
from vixtui.tui.theme import Terminal  # noqa: E402

MakeApp = Callable[..., VixtuiApp]
Until = Callable[[Pilot[None], Callable[[], object]], Awaitable[None]]


@pytest.fixture
def make_app(monkeypatch: pytest.MonkeyPatch) -> MakeApp:
    """Return a maker of apps whose planning is made up and whose engine needs no torch."""
    monkeypatch.setattr(choice, "open_pictures", tui_fakes.source)
    monkeypatch.setattr(choice, "plan", tui_fakes.plan)
    monkeypatch.setattr(choice, "launch", tui_fakes.launch)
    script = str(HERE / "tui_engine.py")
    monkeypatch.setattr(process, "_command", lambda *words: [sys.executable, script, *words])

    def make(**terminal: bool) -> VixtuiApp:
        return VixtuiApp(probe=tui_fakes.machine, terminal=Terminal(**terminal))

    return make


@pytest.fixture
def until() -> Until:
    """Return a way to wait for a state, never for a time."""

    async def wait(pilot: Pilot[None], reached: Callable[[], object]) -> None:
        deadline = time.monotonic() + 240
        while not reached():
            if time.monotonic() > deadline:
                raise AssertionError(f"never reached; the screen shows:\n{screen_text(pilot.app)}")
            await asyncio.sleep(0.01)
            await pilot.pause()

    return wait


def screen_text(app: App[None]) -> str:
    """Return what the screen shows, without colours."""
    rows = app.screen._compositor.render_strips()
    return "\n".join("".join(part.text for part in row).rstrip() for row in rows) + "\n"


@pytest.fixture
def shown() -> Callable[[Pilot[None]], str]:
    """Return a way to read the screen."""
    return lambda pilot: screen_text(pilot.app)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Pilot[None], str], None]:
    """Compare the screen with a file; ``VIXTUI_UPDATE_GOLDEN=1`` writes it instead."""

    def compare(pilot: Pilot[None], name: str) -> None:
        path, text = HERE / "golden" / f"{name}.txt", screen_text(pilot.app)
        if os.environ.get("VIXTUI_UPDATE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare
