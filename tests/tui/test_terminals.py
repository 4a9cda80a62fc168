"""What different terminals show, as text; and what is never imported."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import tui_fakes

from vixtui.tui.screens import runs
from vixtui.tui.widgets.chart import Chart, Curve
from vixtui.tui.widgets.series import Series


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(runs, "ago", lambda moment: "2 h ago")
    monkeypatch.setattr(runs, "runs_dir", lambda: Path("~/vixtui/runs"))
    run = tui_fakes.make_run("20261122-0704-hybrid-vin-rope")
    tui_fakes.record(run)
    yield run
    monkeypatch.undo()
    time.tzset()


async def test_golden_pick(make_app, until, golden) -> None:
    for size in ((80, 24), (100, 30)):
        async with make_app().run_test(size=size) as pilot:
            await until(pilot, lambda pilot=pilot: pilot.app.screen.outlook is not None)
            await pilot.pause()
            golden(pilot, f"pick-{size[0]}x{size[1]}")


@pytest.mark.parametrize(
    ("key", "tab", "size"),
    [
        ("2", "train", (80, 24)), ("2", "train", (200, 50)),
        ("3", "test", (80, 24)), ("3", "test", (100, 30)),
        ("5", "runs", (100, 30)),
    ],
)  # fmt: skip
async def test_golden_of_a_finished_run(
    make_app, until, shown, golden, finished, key, tab, size
) -> None:
    async with make_app().run_test(size=size) as pilot:
        pilot.app.current_run = finished
        await pilot.press(key)
        words = {"train": "✓ done", "test": "taken for", "runs": "✓ done"}[tab]
        await until(pilot, lambda: words in shown(pilot))
        await pilot.pause()
        golden(pilot, f"{tab}-{size[0]}x{size[1]}")


async def test_a_terminal_of_letters_gets_only_letters(make_app, until, shown, finished) -> None:
    async with make_app(ascii=True, color=False).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pilot.app.screen.outlook is not None)
        pilot.app.current_run = finished
        for key, words in (("1", "Trains"), ("2", "done"), ("3", "taken for"), ("5", "done")):
            await pilot.press(key)
            await until(pilot, lambda words=words: words in shown(pilot))
            rest = {char for char in shown(pilot) if not char.isascii()}
            assert rest <= set("…×‹›←→–")


async def test_scroll_bars_on_a_terminal_of_letters_are_blank_cells(
    make_app, until, shown, finished
) -> None:
    async with make_app(ascii=True, color=False).run_test(size=(60, 30)) as pilot:
        pilot.app.current_run = finished
        await pilot.press("3")
        await until(pilot, lambda: "taken for" in shown(pilot))
        for _ in range(3):  # thumbs between two cells
            await pilot.press("right", "down")
            await pilot.pause()
            assert not {char for char in shown(pilot) if "▀" <= char <= "▟"}


async def test_without_colour_nothing_is_lost_on_a_background(make_app, until, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with make_app(color=False).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pilot.app.screen.outlook is not None)
        await pilot.pause()
        for row in pilot.app.screen._compositor.render_strips():
            for part in row:
                if part.text.strip() and part.style is not None:
                    assert part.style.color != part.style.bgcolor or part.style.reverse


async def test_sixteen_colours_use_the_terminals_own(make_app, until, shown) -> None:
    async with make_app(few_colors=True).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pilot.app.screen.outlook is not None)
        assert pilot.app.theme == "ansi-dark"


async def test_a_screen_survives_any_size(make_app, until, shown, finished) -> None:
    async with make_app().run_test(size=(200, 50)) as pilot:
        pilot.app.current_run = finished
        for key in "12345":
            await pilot.press(key)
            for size in ((60, 15), (1, 1), (200, 50)):
                await pilot.resize_terminal(*size)
                await pilot.pause()
        assert "Runs" in shown(pilot)


async def test_a_low_terminal_still_offers_models(make_app, until, shown) -> None:
    async with make_app().run_test(size=(60, 15)) as pilot:
        await until(pilot, lambda: pilot.app.screen.outlook is not None)
        await until(pilot, lambda: "Hybrid ViT tiny" in shown(pilot))
        assert "Memory" in shown(pilot)
        assert "Time" in shown(pilot)


async def test_a_chart_of_many_points_shows_its_spikes(make_app) -> None:
    series = Series()
    for n in range(100_000):
        series.add(n, 50.0 if n == 70_000 else 1.0)
    async with make_app().run_test() as pilot:
        chart = Chart("Loss", terminal=pilot.app.terminal)
        await pilot.app.screen.mount(chart)
        chart.show([Curve("train", series)])
        rows = [strip.text for strip in chart.draw(60, 16)]
        assert rows[1].lstrip(" 0123456789").strip("┤│ ")
        assert "train 1.000" in rows[0]
        chart.toggle_log()
        assert "(log)" in chart.draw(60, 16)[0].text


def test_screens_never_import_torch_or_the_engine() -> None:
    code = (
        "import sys, vixtui.tui.app as app\n"
        "first = set(sys.modules)\n"
        "[app._make_screen(key) for key in app.TABS]\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'vixtui.engine', 'typer', 'pydantic'}\n"
        "late = {'PIL', 'psutil', 'pynvml', 'vixtui.planning.start', 'vixtui.tui.screens.runs'}\n"
        "print(sorted(heavy & set(sys.modules)), sorted(late & first))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]
