"""From the first screen to a test result, with a real process for an engine."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from textual import events

from vixtui.runs.directory import list_runs
from vixtui.tui import choice
from vixtui.tui.screens import train
from vixtui.tui.screens.train import TrainScreen
from vixtui.tui.widgets.chart import Chart
from vixtui.tui.widgets.path_input import PathInput

SIZES = [(80, 24), (100, 30), (200, 50)]


async def ready(pilot, until) -> None:
    await until(pilot, lambda: pilot.app.screen.outlook is not None)


@pytest.mark.parametrize("size", SIZES)
async def test_enter_trains_and_enter_shows_the_test(make_app, until, shown, size) -> None:
    async with make_app().run_test(size=size) as pilot:
        await ready(pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrainScreen))
        await until(pilot, lambda: pilot.app.screen.state == "done")
        await until(pilot, lambda: "Done. 90.0 % right in the test" in shown(pilot))
        curves = pilot.app.screen.query_one("#loss", Chart)
        assert "validation 0.197" in "".join(strip.text for strip in curves.draw(60, 12))
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen.TAB == "test")
        await until(pilot, lambda: "90.0 %" in shown(pilot))
        assert "taken for" in shown(pilot)


async def test_the_first_thing_after_enter_is_a_word_about_the_engine(
    make_app, until, shown, monkeypatch
) -> None:
    go_on, launch = threading.Event(), choice.launch

    def slow_launch(outlook, candidate):
        go_on.wait(20)
        return launch(outlook, candidate)

    monkeypatch.setattr(choice, "launch", slow_launch)
    async with make_app().run_test(size=(80, 24)) as pilot:
        await ready(pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: "starting engine" in shown(pilot))
        go_on.set()
        await until(pilot, lambda: pilot.app.screen.state == "done")


async def test_pause_resume_and_stop_reach_the_engine(make_app, until, shown, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    monkeypatch.setenv("FAKE_EPOCHS", "100000")
    async with make_app().run_test(size=(100, 30)) as pilot:
        await ready(pilot, until)
        await pilot.press("enter")
        for key, state in (("space", "paused"), ("space", "training"), ("s", "stopped")):
            before = "paused" if state == "training" else "training"
            await until(
                pilot, lambda before=before: getattr(pilot.app.screen, "state", "") == before
            )
            word = "Go on" if before == "paused" else "Pause"
            await until(pilot, lambda word=word: f"space {word}" in shown(pilot))
            await pilot.press(key)
            await until(pilot, lambda state=state: pilot.app.screen.state == state)
        await until(pilot, lambda: "Stopped; everything is saved" in shown(pilot))


@pytest.mark.parametrize(
    ("device", "cores", "expected"), [("cpu", 1, 5), ("cpu", 8, 1), ("cuda:0", 1, 1)]
)
async def test_a_training_on_all_cores_is_painted_more_rarely(
    make_app, until, monkeypatch, device, cores, expected
) -> None:
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    monkeypatch.setenv("FAKE_EPOCHS", "100000")
    monkeypatch.setattr(train, "_LOOK_SECONDS", 1000.0)
    monkeypatch.setattr(train, "usable_cores", lambda: cores)
    async with make_app().run_test(size=(100, 30)) as pilot:
        await ready(pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrainScreen))
        screen = pilot.app.screen

        def looked_until(state: str) -> bool:
            screen._look()
            return screen.state == state

        await until(pilot, lambda: looked_until("training"))
        screen.progress.started = replace(screen.progress.started, device=device)
        screen._refresh()
        stale = []
        for _ in range(expected):
            screen._stale = True
            screen._look()
            stale.append(screen._stale)
        assert stale == [True] * (expected - 1) + [False]
        await pilot.press("s")
        await until(pilot, lambda: looked_until("stopped"))


@pytest.mark.parametrize(
    ("end", "state", "words"),
    [("fail", "failed", "the loss is not a number"), ("crash", "lost", "memory ran out")],
)
async def test_a_run_that_ends_badly_says_what_to_do(
    make_app, until, shown, monkeypatch, end, state, words
) -> None:
    monkeypatch.setenv("FAKE_END", end)
    async with make_app().run_test(size=(80, 24)) as pilot:
        await ready(pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: getattr(pilot.app.screen, "state", "") == state)
        await until(pilot, lambda: words in shown(pilot))
        await until(pilot, lambda: " r to" in shown(pilot))


async def test_a_stopped_run_is_resumed_from_its_own_tab(
    make_app, until, shown, monkeypatch
) -> None:
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    monkeypatch.setenv("FAKE_EPOCHS", "100000")
    async with make_app().run_test(size=(100, 30)) as pilot:
        await ready(pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: getattr(pilot.app.screen, "state", "") == "training")
        await pilot.press("s")
        await until(pilot, lambda: pilot.app.screen.state == "stopped")
        monkeypatch.setenv("FAKE_STEP_SECONDS", "0.01")
        monkeypatch.setenv("FAKE_EPOCHS", "2")
        await pilot.press("r")
        await until(pilot, lambda: pilot.app.screen.state == "done")
    assert len(list_runs()) == 1


async def test_a_model_that_does_not_fit_is_not_started(make_app, until, shown) -> None:
    async with make_app().run_test(size=(100, 30)) as pilot:
        await ready(pilot, until)
        await pilot.press(*["left"] * 10)
        await until(pilot, lambda: pilot.app.screen.outlook.wish.budget == "0.5GB")
        await pilot.press("end", "enter")
        assert "does not fit" in shown(pilot)
        assert pilot.app.screen.TAB == "pick"
    assert list_runs() == []


async def test_memory_and_time_change_what_is_shown(make_app, until, shown) -> None:
    async with make_app().run_test(size=(100, 30)) as pilot:
        await ready(pilot, until)
        assert "4 of 4 fit" in shown(pilot)
        await pilot.press(*["left"] * 10)
        await until(pilot, lambda: "2 of 4 fit" in shown(pilot))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "2:00" in shown(pilot))
        await pilot.press("b", *"800MB", "enter")
        await until(pilot, lambda: "800 MB" in shown(pilot))
        await pilot.press("right")
        await until(pilot, lambda: "1.00 GB" in shown(pilot))


async def test_a_budget_that_is_none_is_refused_in_words(make_app, until, shown) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        await ready(pilot, until)
        await pilot.press("b", *"lots", "enter")
        await until(pilot, lambda: "not an amount of memory" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen.TAB == "pick")


async def test_another_data_set_is_two_keys_away(make_app, until, shown) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        await ready(pilot, until)
        await pilot.press("down", "d", "down", "enter")
        await until(pilot, lambda: "ViN RoPE tiny on shapes for 45 s" in shown(pilot))


async def test_a_folder_is_typed_with_tab(make_app, until, shown, tmp_path) -> None:
    (tmp_path / "pictures").mkdir()
    async with make_app().run_test(size=(80, 24)) as pilot:
        await ready(pilot, until)
        await pilot.press("d", "tab")
        await until(pilot, lambda: isinstance(pilot.app.focused, PathInput))
        pilot.app.focused.show_path(tmp_path / "pi")
        await pilot.press("c", "tab", "enter")
        await until(pilot, lambda: pilot.app.screen.is_modal is False)
        await until(pilot, lambda: "on pictures for 5:00" in shown(pilot))
        assert pilot.app.screen.wish.source == str(tmp_path / "pictures")


@pytest.mark.parametrize("way", ["typed", "typed at once", "pasted"])
async def test_a_folder_named_without_going_to_its_line_is_chosen(
    make_app, until, shown, tmp_path, way
) -> None:
    (tmp_path / "pictures").mkdir()
    path = str(tmp_path / "pictures")
    async with make_app().run_test(size=(80, 24)) as pilot:
        await ready(pilot, until)
        await pilot.press("d")
        await until(pilot, lambda: pilot.app.screen.is_modal)
        if way == "typed":
            await pilot.press("space", *path)
        elif way == "typed at once":
            for letter in path:
                pilot.app.post_message(events.Key(letter, letter))
        else:
            pilot.app.post_message(events.Paste(path))
        await until(pilot, lambda: pilot.app.screen.query_one(PathInput).value == path)
        await pilot.press("enter")
        await until(pilot, lambda: "on pictures for 5:00" in shown(pilot))
        assert pilot.app.screen.wish.source == str(tmp_path / "pictures")


async def test_a_second_training_asks_first(make_app, until, shown, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    monkeypatch.setenv("FAKE_EPOCHS", "100000")
    async with make_app().run_test(size=(80, 24)) as pilot:
        await ready(pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: getattr(pilot.app.screen, "state", "") == "training")
        await pilot.press("1", "enter")
        await until(pilot, lambda: "A training is under way" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: getattr(pilot.app.screen, "TAB", "") == "train")
        await until(pilot, lambda: pilot.app.screen.state == "training")
        await pilot.press("s")
        await until(pilot, lambda: pilot.app.screen.state == "stopped")
    assert len(list_runs()) == 1


async def test_a_training_left_running_is_found_again(make_app, until, shown, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    monkeypatch.setenv("FAKE_EPOCHS", "100000")
    async with make_app().run_test(size=(80, 24)) as pilot:
        await ready(pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: getattr(pilot.app.screen, "state", "") == "training")
        await pilot.press("q", "enter")
        await until(pilot, lambda: not pilot.app.is_running)
    async with make_app().run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pilot.app.current_run is not None)
        await pilot.press("2")
        await until(pilot, lambda: getattr(pilot.app.screen, "state", "") == "training")
        await pilot.press("s")
        await until(pilot, lambda: pilot.app.screen.state == "stopped")
