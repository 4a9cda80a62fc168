"""Predicting and evaluating from the command line."""

from __future__ import annotations

import csv
import io
import json
import os

import pytest
from weights_corpus import weights

from vixtui.runs import events, process
from vixtui.runs.directory import RunDirectory


@pytest.fixture
def trained(make_run) -> RunDirectory:
    """A finished run with weights."""
    run = make_run()
    run.model_path.write_bytes(weights())
    log = events.EventWriter(run.events_path)
    log.write(
        events.Finished,
        1.0,
        reason="schedule", best_epoch=3, best_top1=0.8, seconds=1.5, peak_memory_bytes=1,
    )  # fmt: skip
    log.close()
    return run


@pytest.fixture
def no_engine(monkeypatch):
    """Fail when an engine is started."""
    monkeypatch.setattr(process, "_command", lambda *rest: pytest.fail("the engine was started"))


@pytest.fixture
def pictures(tmp_path):
    """A folder with two pictures and one file that only claims to be one."""
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"picture")
    (folder / "deep" / "b.JPG").write_bytes(b"picture")
    (folder / "notes.txt").write_bytes(b"text")
    (folder / ".hidden.png").write_bytes(b"picture")
    return folder


def test_the_newest_run_is_used_and_named(vixtui, trained, pictures):
    result = vixtui("predict", str(pictures / "a.png"))
    assert result.code == 0
    assert "80.0 %" in result.out
    assert "a-run" in result.err


def test_without_a_model_it_says_how_to_train_one(vixtui, pictures):
    result = vixtui("predict", str(pictures / "a.png"))
    assert result.code == 2
    assert "vixtui train" in result.err


def test_missing_picture_exits_2(vixtui, trained, tmp_path):
    result = vixtui("predict", str(tmp_path / "none.png"))
    assert result.code == 2
    assert "none.png" in result.err


def test_folders_are_searched_and_other_files_left_alone(vixtui, trained, pictures):
    result = vixtui("predict", str(pictures), "--json")
    paths = [entry["path"] for entry in json.loads(result.out)["predictions"]]
    assert paths == [str(pictures / "a.png"), str(pictures / "deep" / "b.JPG")]


def test_patterns_are_expanded(vixtui, trained, pictures):
    result = vixtui("predict", str(pictures / "*.png"), "--json")
    assert len(json.loads(result.out)["predictions"]) == 1


def test_a_picture_named_twice_is_predicted_once(vixtui, trained, pictures):
    result = vixtui("predict", str(pictures), str(pictures / "a.png"), "--json")
    assert len(json.loads(result.out)["predictions"]) == 2


def test_unreadable_pictures_exit_3_and_the_others_are_predicted(vixtui, trained, pictures):
    (pictures / "broken.png").write_bytes(b"nonsense")
    result = vixtui("predict", str(pictures), "--json")
    assert result.code == 3
    assert [bool(entry["error"]) for entry in json.loads(result.out)["predictions"]] == [
        False,
        True,
        False,
    ]
    assert "broken.png" in result.err


def test_csv_holds_no_formula_and_no_control_character(vixtui, trained, pictures):
    result = vixtui("predict", str(pictures / "a.png"), "--csv")
    [row] = csv.DictReader(io.StringIO(result.out))
    assert row["class_2"] == "'=dog"
    assert result.out.replace("\n", "").isprintable()


def test_a_run_without_weights_is_told_apart(vixtui, make_run, pictures):
    make_run("young")
    result = vixtui("predict", str(pictures), "--model", "young")
    assert result.code == 2
    assert "no weights yet" in result.err


def test_a_weights_file_is_a_model(vixtui, tmp_path, pictures):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(weights())
    assert vixtui("predict", str(pictures), "--model", str(file)).code == 0


def test_a_malformed_weights_file_is_refused_before_the_engine_starts(
    vixtui, tmp_path, pictures, no_engine
):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(weights()[:-8])
    result = vixtui("predict", str(pictures), "--model", str(file))
    assert (result.code, result.out) == (4, "")
    assert result.err.count("\n") == 1
    assert str(file) in result.err


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "not a regular file"),
        (os.mkdir, "the folder of no run"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    ],
    ids=["fifo", "folder", "device"],
)
def test_what_is_no_file_is_refused(vixtui, tmp_path, pictures, no_engine, make, words):
    make(tmp_path / "mine.pt")
    result = vixtui("predict", str(pictures), "--model", str(tmp_path / "mine.pt"))
    assert (result.code, result.err.count("\n")) == (4, 1)
    assert words in result.err


@pytest.mark.parametrize("part", ["x" * 5000, "no/" + "x" * 300], ids=["long", "deep"])
def test_impossible_names_are_one_line(vixtui, trained, pictures, part):
    for arguments in (("--model", part, str(pictures)), (part,)):
        result = vixtui("predict", *arguments)
        assert (result.code, result.out) == (2, "")
        assert result.err.splitlines()[-1].startswith("error: no such") or "no run" in result.err


def test_evaluate_shows_interval_classes_and_confusions(vixtui, trained):
    out = vixtui("evaluate").out
    assert "95 % interval 70.0 to 97.0 %" in out
    assert "precision" in out
    assert "taken for zero" in out


def test_evaluate_json_is_the_evaluation(vixtui, trained):
    assert json.loads(vixtui("evaluate", "--json").out)["top1"] == 0.9


def test_a_lone_weights_file_is_not_evaluated_on_nothing(vixtui, tmp_path):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(weights())
    result = vixtui("evaluate", str(file))
    assert result.code == 2
    assert "--data" in result.err


@pytest.mark.parametrize("arguments", [("evaluate",), ("predict", "{picture}")], ids=" ".join)
def test_hostile_class_name_reaches_no_terminal(trained, pictures, on_a_terminal, arguments):
    picture = pictures / "\x1b]0;title\x07[bold].png"
    picture.write_bytes(b"picture")
    shown = on_a_terminal(*(part.format(picture=picture) for part in arguments))
    assert b"]52;" in shown
    assert b"[red]" in shown
    for sign in (b"\x1b]", b"\x07", b"\x9b", "\u202e".encode()):
        assert sign not in shown


def test_no_color_is_honoured(trained, on_a_terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert b"\x1b[3" not in on_a_terminal("evaluate")


def test_an_empty_name_is_not_the_working_directory(vixtui, trained, pictures, monkeypatch):
    monkeypatch.chdir(pictures)
    result = vixtui("predict", "")
    assert (result.code, result.out) == (2, "")
    assert "empty name" in result.err


def test_a_run_may_have_a_dot_in_its_name(vixtui, make_run):
    make_run("v1.2").model_path.write_bytes(weights())
    asked = json.loads(vixtui("evaluate", "v1.2", "--json").out)["asked"]
    assert asked["model"].endswith("v1.2/model.safetensors")


def test_a_missing_weights_file_is_named(vixtui):
    result = vixtui("evaluate", "no/such.safetensors")
    assert result.code == 2
    assert "no such weights file (no/such.safetensors)" in result.err


def test_data_means_the_built_in_set_as_it_does_for_train(vixtui, trained, tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    asked = json.loads(vixtui("evaluate", "--data", "digits", "--json").out)["asked"]
    assert asked["source"] == "digits"


def test_the_engine_chooses_the_pictures_and_knows_the_run(vixtui, trained, pictures):
    asked = json.loads(vixtui("evaluate", "--data", str(pictures), "--json").out)["asked"]
    assert asked["split"] is None
    assert asked["run"] == str(trained.path)
    assert asked["cache"] is None
    assert json.loads(vixtui("evaluate", "--no-cache", "--json").out)["asked"]["cache"] is False
    result = vixtui("evaluate", "--split", "train")
    assert "train top-1" in result.out


def test_what_the_engine_leaves_out_is_said_on_stderr(vixtui, trained):
    result = vixtui("evaluate")
    assert "warning: 2 pictures of unknown classes \\x1b[2J are left out" in result.err


def test_a_class_without_pictures_has_no_figures(vixtui, trained):
    [row] = [line for line in vixtui("evaluate").out.splitlines() if line.startswith("one ")]
    assert row.split() == ["one", "0", "–", "–", "–"]
