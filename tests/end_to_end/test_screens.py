"""The whole way through the screens, with a real training, a real test, a real prediction."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

from textual.app import App
from textual.pilot import Pilot

from vixtui.paths import assets_dir
from vixtui.runs.directory import list_runs
from vixtui.tui.app import VixtuiApp

WAIT_SECONDS = 180.0


def shown(app: App[None]) -> str:
    rows = app.screen._compositor.render_strips()
    return "\n".join("".join(part.text for part in row).rstrip() for row in rows)


async def until(pilot: Pilot[None], reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not reached():
        assert time.monotonic() < deadline, shown(pilot.app)
        await asyncio.sleep(0.05)
        await pilot.pause()


async def test_pick_train_test_predict_and_history() -> None:
    app = VixtuiApp()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.screen.outlook is not None)
        await pilot.press("left_square_bracket")  # less time: 20 s
        await until(pilot, lambda: "20 s" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: getattr(app.screen, "state", "") == "training")
        await until(pilot, lambda: re.search(r"Loss .* validation \d\.\d", shown(app)))
        await until(pilot, lambda: app.screen.state == "done")
        assert "right in the test" in shown(app)
        assert sum("⠀" < char <= "⣿" for char in shown(app)) > 50  # the curves
        run = list_runs()[0]
        tested = run.progress().tested
        assert tested is not None
        await pilot.press("enter")
        await until(pilot, lambda: f"{100 * tested.top1:.1f} %" in shown(app))
        await pilot.press("4")
        await until(pilot, lambda: app.screen.TAB == "predict")
        await pilot.press("o", *str(assets_dir() / "samples" / "digit-3.png"), "enter")
        await until(pilot, lambda: "This took" in shown(app) and "digit-3.png" in shown(app))
        assert shown(app).count("▀") > 100  # the preview
        await pilot.press("escape", "5")
        await until(pilot, lambda: "digits" in shown(app) and "done" in shown(app))
