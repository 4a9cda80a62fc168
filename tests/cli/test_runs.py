"""Looking at runs and changing them."""

from __future__ import annotations

import json
import time

import pytest

from vixtui.runs.directory import RunDirectory, list_runs


@pytest.fixture
def finished(vixtui, make_run):
    """A run that the fake engine has finished."""
    run = make_run("first-run")
    assert vixtui("runs", "resume", run.id).code == 0
    return run


def test_list_shows_state_and_results(vixtui, finished):
    result = vixtui("runs", "list")
    [line] = [line for line in result.out.splitlines() if line.startswith("first-run")]
    assert "done" in line
    assert "80.0 %" in line
    assert "90.0 %" in line


def test_the_newest_run_comes_first_whatever_the_clock_said(vixtui, make_run):
    for name, hour in (("m", 7), ("z", 5), ("a", 6)):
        path = make_run(name).config_path
        path.write_text(path.read_text().replace("T07:", f"T0{hour}:"))
    listed = json.loads(vixtui("runs", "list", "--json").out)["runs"]
    assert [run["id"] for run in listed] == ["a", "z", "m"]
    assert json.loads(vixtui("runs", "show", "last", "--json").out)["id"] == "a"


def test_a_finished_run_is_not_offered_to_be_resumed(vixtui, finished):
    result = vixtui("attach", finished.id)
    assert result.code == 2
    assert "vixtui runs show" in result.err
    assert "resume" not in result.err


def test_runs_alone_lists_them(vixtui, finished):
    assert vixtui("runs").out == vixtui("runs", "list").out


def test_a_damaged_run_does_not_hide_the_others(vixtui, finished, make_run):
    make_run("broken").config_path.write_text("schema_version = ")
    result = vixtui("runs", "list")
    assert result.code == 0
    assert "first-run" in result.out
    assert "broken" in result.err


def test_show_tells_how_sure_the_result_is(vixtui, finished):
    out = vixtui("runs", "show", "first").out
    assert "95 % interval 70.0 to 97.0 %" in out
    assert "recipe.lr" in out


@pytest.mark.parametrize("content", ['{"schema_version": 1}', "[1]", "{", '{"schema_version": 2}'])
def test_damaged_test_results_do_not_hide_a_run(vixtui, finished, content):
    finished.evaluation_path.write_text(content)
    result = vixtui("runs", "show", "first")
    assert result.code == 0
    assert "recipe.lr" in result.out
    assert result.err.startswith("warning: unreadable test results")
    assert json.loads(vixtui("runs", "show", "first", "--json").out)["evaluation"] is None


def test_show_json_holds_the_evaluation_as_the_file_does(vixtui, finished):
    shown = json.loads(vixtui("runs", "show", "first", "--json").out)["evaluation"]
    assert shown == json.loads(finished.evaluation_path.read_text())


def test_stop_is_sent_once(vixtui, make_run, monkeypatch):
    from vixtui.runs import control

    run, sent = make_run(), []
    monkeypatch.setattr(control, "send", lambda path, command: sent.append(command))
    monkeypatch.setattr(RunDirectory, "alive", lambda run: len(sent) == 0 or next(lives))
    lives = iter([True, True, False])
    vixtui("runs", "stop", run.id)
    assert sent == ["stop"]


def test_compare_names_only_what_differs(vixtui, make_run):
    make_run("one", lr=1e-3)
    make_run("two", lr=2e-3)
    result = vixtui("runs", "compare", "one", "two", "--json")
    assert json.loads(result.out)["differing"] == {"recipe.lr": [1e-3, 2e-3]}
    assert "recipe.lr" in vixtui("runs", "compare", "one", "two").out


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("show", "first-run"), ("compare", "first-run", "first-run"),
     ("rename", "first-run", "second"), ("rm", "first-run", "--yes")],
    ids=" ".join,
)  # fmt: skip
def test_stdout_is_pure_json(vixtui, finished, arguments):
    result = vixtui("runs", *arguments, "--json")
    assert result.code == 0
    assert json.loads(result.out)["schema_version"] == 1


def test_rm_does_not_delete_unasked(vixtui, finished):
    result = vixtui("runs", "rm", "first-run")
    assert result.code == 2
    assert "--yes" in result.err
    assert finished.path.is_dir()


def test_rm_deletes_with_yes(vixtui, finished):
    assert vixtui("runs", "rm", "first-run", "--yes").code == 0
    assert list_runs() == []


def test_rename_keeps_the_run(vixtui, finished):
    assert vixtui("runs", "rename", "first-run", "better").code == 0
    assert "better" in vixtui("runs", "list").out


def test_a_finished_run_is_not_resumed(vixtui, finished):
    result = vixtui("runs", "resume", "first-run")
    assert result.code == 2
    assert "done already" in result.err


def test_stop_ends_a_detached_run_and_resume_goes_on(vixtui, make_run, monkeypatch):
    run = make_run()
    monkeypatch.setenv("FAKE_ENGINE", "slow")
    assert vixtui("runs", "resume", run.id, "--detach").code == 0
    deadline = time.monotonic() + 240
    while not run.alive():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    result = vixtui("runs", "stop", run.id)
    assert (result.code, result.out) == (0, "a-run: stopped\n")
    monkeypatch.setenv("FAKE_ENGINE", "finish")
    assert vixtui("runs", "resume", run.id).code == 0
    assert run.state() == "done"


def test_an_engine_that_cannot_start_is_not_taken_for_its_old_last_word(
    vixtui, make_run, monkeypatch
):
    run = make_run()
    monkeypatch.setenv("FAKE_ENGINE", "failed")
    assert vixtui("runs", "resume", run.id).code == 3
    monkeypatch.setenv("FAKE_ENGINE", "broken")
    result = vixtui("runs", "resume", run.id)
    assert result.code == 1
    assert "without a last word, with code 3" in result.err
