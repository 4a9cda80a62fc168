"""Tabs 3 to 5, help, and leaving."""

from __future__ import annotations

import json
import threading

import pytest
import tui_engine
import tui_fakes
from PIL import Image

from vixtui.errors import DiskError
from vixtui.runs import events as e
from vixtui.runs.directory import RunDirectory, list_runs
from vixtui.tui.screens.dialogs import ChoiceDialog, PromptDialog
from vixtui.tui.widgets.file_tree import FileTree
from vixtui.tui.widgets.path_input import PathInput
from vixtui.tui.widgets.row_table import RowTable

HOSTILE = ("[/x]", "[bold red]cat", "a\x1b[2Jb", "\u202etxt.exe", "x" * 300)


@pytest.fixture
def finished() -> RunDirectory:
    run = tui_fakes.make_run("20261122-0704-hybrid-vin-rope")
    tui_fakes.record(run)
    return run


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "cat [red].png"
    Image.new("RGB", (20, 10), "red").save(path)
    return path


def _told(pilot) -> str:
    """Return the notices given so far."""
    return "\n".join(notice.message for notice in pilot.app._notifications)


async def test_without_any_run_every_tab_says_what_to_do(make_app, until, shown) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        for key, words in (
            ("2", "Press 1"),
            ("3", "Press 1"),
            ("4", "Nothing is trained"),
            ("5", "0 in"),
        ):
            await pilot.press(key)
            await until(pilot, lambda words=words: words in shown(pilot))


async def test_arrows_and_mouse_lead_to_other_tabs(make_app, until) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: pilot.app.screen.TAB == "train")
        await pilot.press("right")
        await until(pilot, lambda: pilot.app.screen.TAB == "test")
        await pilot.click("TabBar", offset=(74, 0))
        await until(pilot, lambda: pilot.app.screen.TAB == "runs")


async def test_the_palette_leads_to_a_tab(make_app, until, shown) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Search for commands" in shown(pilot))
        await pilot.press(*"go to runs")
        await until(pilot, lambda: "Go to Test" not in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: getattr(pilot.app.screen, "TAB", "") == "runs")


async def test_the_palette_does_what_the_tab_can_do(make_app, until, shown, finished) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "taken for" in shown(pilot))
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Search for commands" in shown(pilot))
        await pilot.press(*"counts or")
        await until(pilot, lambda: "counts or per cent in the matrix" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "9█" in shown(pilot) and "90█" not in shown(pilot))


async def test_an_untested_run_is_tested_on_request(make_app, until, shown, finished) -> None:
    finished.evaluation_path.unlink()
    async with make_app().run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "Press e to test it now" in shown(pilot))
        await pilot.press("e")
        await until(pilot, lambda: "90.0 %" in shown(pilot))
        await until(pilot, lambda: "picture 0 is damaged (and 2 more)" in _told(pilot))
    assert json.loads(finished.evaluation_path.read_text())["top1"] == 0.9


async def test_damaged_results_are_told_not_shown(make_app, until, shown, finished) -> None:
    finished.evaluation_path.write_text("{}")
    async with make_app().run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "unreadable test results" in shown(pilot))


async def test_counts_and_percent_in_the_matrix(make_app, until, shown, finished) -> None:
    async with make_app().run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "90█" in shown(pilot))
        await pilot.press("n")
        await until(pilot, lambda: "9█" in shown(pilot) and "90█" not in shown(pilot))


async def test_a_typed_picture_is_shown_and_named(
    make_app, until, shown, finished, picture
) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "o")
        await until(pilot, lambda: isinstance(pilot.app.focused, PathInput))
        pilot.app.focused.show_path(picture.parent / "ca")
        await pilot.press("t", "tab", "enter")
        await until(pilot, lambda: "82.0 %" in shown(pilot))
        text = shown(pilot)
        assert "[/x]cat" in text
        assert "20 × 10 pixels" in text
        assert "▀" in text
        assert pilot.app.warm_engine.warm
        await pilot.press("v")  # the answer leads back to the tree, where letters are commands
        await until(pilot, lambda: "as the model sees it: 8 × 8" in shown(pilot))
        await until(pilot, lambda: pilot.app.screen.query_one(FileTree).path == picture.parent)
    assert not pilot.app.warm_engine.warm


async def test_who_types_a_path_sees_the_keys_and_replaces_the_old_one(
    make_app, until, shown, finished
) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "o")
        await until(pilot, lambda: "Esc Back to the tree" in shown(pilot))
        assert "Enter Open  Tab Complete" in shown(pilot)
        await pilot.press(*"old", "escape", "o", *"new")
        await until(pilot, lambda: pilot.app.screen.query_one(PathInput).value == "new")
        await pilot.press("escape")
        await until(pilot, lambda: "Back to the tree" not in shown(pilot))


@pytest.mark.parametrize("typed", ["y" * 3000, "~nobody-here/x.png", "a\x00b"], ids=ascii)
async def test_an_impossible_path_is_no_file(make_app, until, shown, finished, typed) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        for keys, words in (("4", "o"), "No such file"), (("1", "d", "tab"), "No such folder"):
            await pilot.press(*keys)
            await until(pilot, lambda: isinstance(pilot.app.focused, PathInput))
            pilot.app.focused.value = typed
            await pilot.press("enter")
            await until(pilot, lambda words=words: words in shown(pilot))
            await pilot.press("escape")


async def test_a_picture_is_found_in_the_tree(make_app, until, shown, finished, picture) -> None:
    async with make_app().run_test(size=(100, 30)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: pilot.app.screen.TAB == "predict")
        tree = pilot.app.screen.query_one(FileTree)
        tree.path = picture.parent
        await until(pilot, lambda: "cat [red]" in shown(pilot))
        tree.focus()
        await until(pilot, lambda: len(tree.root.children) > 0)
        while "cat" not in str(tree.cursor_node.label if tree.cursor_node else ""):
            await pilot.press("down")
        await pilot.press("enter")
        await until(pilot, lambda: "82.0 %" in shown(pilot))


async def test_an_unreadable_picture_is_one_line(
    make_app, until, shown, finished, tmp_path
) -> None:
    path = tmp_path / "broken.png"
    path.write_text("no picture")
    async with make_app().run_test(size=(80, 24)) as pilot:
        await pilot.press("4", "o")
        await until(pilot, lambda: isinstance(pilot.app.focused, PathInput))
        pilot.app.focused.show_path(path)
        await pilot.press("enter")
        await until(pilot, lambda: "not a picture but text" in shown(pilot))


async def test_marked_runs_are_compared(make_app, until, shown, finished) -> None:
    tui_fakes.record(tui_fakes.make_run("20261123-other", lr=1e-3), end="stopped")
    async with make_app().run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: len(pilot.app.screen.summaries) == 2)
        await pilot.press("space", "down", "space")
        await until(pilot, lambda: "Compare" in shown(pilot))
        text = shown(pilot)
        assert "0.001" in text
        assert "0.002" in text
        assert "1■" in text
        assert any("0.002" in line and "0.001" in line for line in text.splitlines())
        assert "token mixer" not in text


async def test_a_run_is_renamed_and_deleted(make_app, until, shown, finished) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: len(pilot.app.screen.summaries) == 1)
        await pilot.press("n", "end", "ctrl+u", *"best", "enter")
        await until(pilot, lambda: [run.id for run in list_runs()] == ["best"])
        await until(pilot, lambda: "best" in shown(pilot))
        await pilot.press("d")
        await until(pilot, lambda: "Delete this run?" in shown(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: list_runs() == [])
        await until(pilot, lambda: "No runs yet." in shown(pilot))


async def test_after_a_run_is_deleted_the_cursor_is_on_the_next(
    make_app, until, shown, finished
) -> None:
    for name in ("a", "b", "c"):
        tui_fakes.make_run(name)
    async with make_app().run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: len(pilot.app.screen.summaries) == 4)
        table = pilot.app.screen.query_one(RowTable)
        listed = [summary.run.id for summary in pilot.app.screen.summaries]
        table.choose(listed[1])
        await pilot.press("d")
        await until(pilot, lambda: "Delete this run?" in shown(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(pilot.app.screen.summaries) == 3)
        await until(pilot, lambda: table.chosen == listed[2])


async def test_a_name_is_only_checked_until_it_is_taken(
    make_app, until, shown, finished, monkeypatch
) -> None:
    tui_fakes.make_run("other")
    async with make_app().run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: len(pilot.app.screen.summaries) == 2)
        pilot.app.screen.query_one(RowTable).choose(finished.id)
        await pilot.press("n", "end", "ctrl+u", *"other", "enter")
        await until(pilot, lambda: "the name is taken" in shown(pilot))
        dialog = pilot.app.screen
        assert isinstance(dialog, PromptDialog)
        dialog._check("free")
        assert finished.path.is_dir()
        # What the check could not foresee is told, not raised.
        monkeypatch.setattr(RunDirectory, "alive", lambda run: True)
        await pilot.press("end", "2", "enter")
        await until(pilot, lambda: "the run is at work" in _told(pilot))
    assert finished.path.is_dir()


async def test_logs_are_not_read_on_the_screens_thread(
    make_app, until, finished, monkeypatch
) -> None:
    readers: list[threading.Thread] = []
    read = RunDirectory.progress

    def watched_read(run: RunDirectory):
        readers.append(threading.current_thread())
        return read(run)

    monkeypatch.setattr(RunDirectory, "progress", watched_read)
    monkeypatch.setattr(RunDirectory, "alive", lambda run: True)
    async with make_app().run_test(size=(80, 24)) as pilot:
        pilot.app.current_run = finished
        await pilot.press("q")
        await until(pilot, lambda: not pilot.app.is_running)
    assert readers
    assert threading.main_thread() not in readers


async def test_a_run_without_a_last_word_is_lost(make_app, until, shown) -> None:
    tui_fakes.record(tui_fakes.make_run("a"), end="cut")
    async with make_app().run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "? lost" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "Press r to go on" in shown(pilot))


async def test_enter_on_a_finished_run_opens_its_test(make_app, until, finished) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: len(pilot.app.screen.summaries) == 1)
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen.TAB == "test")


async def test_leaving_an_idle_program_asks_nothing(make_app, until, finished) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        await pilot.press("q")
        await until(pilot, lambda: not pilot.app.is_running)


@pytest.mark.parametrize(("keys", "stays", "state"), [
    (["enter"], False, "training"),
    (["down", "enter"], False, "stopped"),
    (["down", "down", "enter"], True, "training"),
    (["escape"], True, "training"),
])  # fmt: skip
async def test_leaving_a_training_asks(make_app, until, monkeypatch, keys, stays, state) -> None:
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    monkeypatch.setenv("FAKE_EPOCHS", "100000")
    async with make_app().run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pilot.app.screen.outlook is not None)
        await pilot.press("enter")
        await until(pilot, lambda: getattr(pilot.app.screen, "state", "") == "training")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChoiceDialog))
        await pilot.press(*keys)
        await until(
            pilot,
            lambda: (
                not isinstance(pilot.app.screen, ChoiceDialog)
                if stays
                else not pilot.app.is_running
            ),
        )
        run = list_runs()[0]
        await until(pilot, lambda: run.state() == state)
        if state != "stopped":
            from vixtui.runs import control

            control.send(run.control_path, "stop")
            await until(pilot, lambda: run.state() == "stopped")


async def test_a_stop_that_cannot_be_written_keeps_the_screens_open(
    make_app, until, monkeypatch
) -> None:
    from vixtui.runs import control

    def refuse(path, command) -> None:
        raise DiskError("the disk is full", where=path)

    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    monkeypatch.setenv("FAKE_EPOCHS", "100000")
    async with make_app().run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: pilot.app.screen.outlook is not None)
        await pilot.press("enter")
        await until(pilot, lambda: getattr(pilot.app.screen, "state", "") == "training")
        with monkeypatch.context() as patch:
            patch.setattr(control, "send", refuse)
            await pilot.press("q")
            await until(pilot, lambda: isinstance(pilot.app.screen, ChoiceDialog))
            await pilot.press("down", "enter")
            await until(pilot, lambda: "the disk is full" in _told(pilot))
        assert pilot.app.is_running
        run = list_runs()[0]
        assert run.state() == "training"
        control.send(run.control_path, "stop")
        await until(pilot, lambda: run.state() == "stopped")


async def test_help_explains_keys_and_numbers(make_app, until, shown) -> None:
    async with make_app().run_test(size=(80, 24)) as pilot:
        for key, words in (
            ("1", "train the marked model"),
            ("2", "pause, or go on"),
            ("5", "compare"),
        ):
            await pilot.press(key, "question_mark")
            await until(pilot, lambda words=words: words in shown(pilot))
            await pilot.press("escape")
            await until(pilot, lambda: not pilot.app.screen.is_modal)


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_names_neither_crash_nor_leak(
    make_app, until, shown, tmp_path, monkeypatch, name
) -> None:
    data = tui_fakes.source(str(tmp_path / name[:200]), classes=(name, "ok", "[b]"))
    run = tui_fakes.make_run("hostile " + name.replace("/", "-")[:200], data=data)
    tui_fakes.record(run)
    with run.events_path.open("ab") as log:
        log.write(e.encode(e.Warned(seq=9999, t=1.7e9, message=name)))
    run.evaluation_path.write_text(json.dumps(tui_engine.evaluation([name, "ok", "[b]"])))
    folder = tmp_path / "pictures"
    (folder / name[:200]).mkdir(parents=True)
    monkeypatch.chdir(folder)
    async with make_app().run_test(size=(100, 30)) as pilot:
        pilot.app.current_run = run
        for key, words in (("2", "done"), ("3", "taken for"), ("4", "Folders"), ("5", "hostile")):
            await pilot.press(key)
            await until(pilot, lambda words=words: words in shown(pilot))
            assert not set(shown(pilot)) & {"\x1b", "\u202e", "\x9b"}
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Go to Pick" in shown(pilot))
        assert not set(shown(pilot)) & {"\x1b", "\u202e", "\x9b"}
