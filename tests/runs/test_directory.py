"""Runs on disk: made, found, named, removed, and what state they are in."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vixtui.errors import DiskError, UsageError
from vixtui.paths import runs_dir
from vixtui.runs import directory
from vixtui.runs import events as e
from vixtui.runs.config import RunConfig
from vixtui.runs.directory import (
    RunDirectory,
    check_run_name,
    create_run,
    find_run,
    list_runs,
    new_run_id,
    newest_model,
    rename_run,
)
from vixtui.runs.lock import acquire
from vixtui.runs.removal import remove_run

MakeRun = Callable[[str], RunDirectory]
ENDINGS: dict[str, tuple[type[e.Event], dict[str, Any]]] = {
    "done": (
        e.Finished,
        {
            "reason": "time", "best_epoch": 1, "best_top1": 0.5, "seconds": 1.0,
            "peak_memory_bytes": 1,
        },
    ),
    "stopped": (e.Stopped, {"step": 1, "epoch": 1}),
    "failed": (e.Failed, {"message": "no", "exit_code": 6}),
    "lost": (e.Checkpointed, {"step": 1, "bytes": 1}),
}  # fmt: skip


def tell(run: RunDirectory, kind: type[e.Event], **values: Any) -> None:
    writer = e.EventWriter(run.events_path)
    writer.write(kind, time.time(), **values)
    writer.close()


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


# --- state ---


@pytest.mark.parametrize("state", ENDINGS)
def test_a_run_without_engine_is_what_its_log_says_or_lost(make_run: MakeRun, state: str) -> None:
    run = make_run("a-run")
    kind, values = ENDINGS[state]
    tell(run, e.RunStarted, pid=1, device="cpu", resumed_step=0)
    tell(run, kind, **values)
    assert run.state() == state


def test_a_run_is_starting_for_a_minute_and_then_lost(make_run: MakeRun) -> None:
    run = make_run("a-run")
    assert run.state() == "starting"
    age(run.config_path, 61)
    assert run.state() == "lost"


def test_a_clock_that_was_set_back_starts_no_run_again(make_run: MakeRun) -> None:
    run = make_run("a-run")
    age(run.config_path, -5)
    assert run.state() == "starting"
    age(run.config_path, -3600)
    assert run.state() == "lost"
    acquire(run.lock_path)
    assert run.state() == "starting"


def test_a_run_at_work_is_in_the_phase_its_log_says(make_run: MakeRun) -> None:
    run = make_run("a-run")
    acquire(run.lock_path)
    age(run.config_path, 61)
    assert run.state() == "starting"
    tell(run, e.Paused, step=1)
    assert run.state() == "paused"
    run.lock_path.unlink()
    assert run.state() == "lost"


def test_a_removed_run_is_lost(make_run: MakeRun) -> None:
    run = make_run("a-run")
    remove_run(run)
    assert run.state() == "lost"


# --- making ---


def test_a_new_run_can_be_read_back(config: RunConfig) -> None:
    run = create_run(config, b"the split")
    assert run.path == runs_dir() / config.id
    assert run.config() == replace(config, number=1)
    assert run.split_path.read_bytes() == b"the split"
    assert not run.alive()


def test_a_taken_name_is_never_written_over(make_run: MakeRun, config: RunConfig) -> None:
    make_run("a-run")
    with pytest.raises(UsageError, match="the name is taken"):
        create_run(replace(config, id="a-run", seed=5), b"")
    assert find_run("a-run").config().seed == 0


def test_a_run_that_cannot_be_written_leaves_its_name_free(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskError, match="the disk is full"):
            create_run(config, b"")
    create_run(config, b"")


def test_new_ids_read_well_and_are_unused(make_run: MakeRun) -> None:
    first = new_run_id("hybrid-vin")
    assert first == f"{time.strftime('%Y%m%d-%H%M')}-hybrid-vin"
    make_run(first)
    make_run(f"{first}-2")
    assert new_run_id("hybrid-vin") == f"{first}-3"


# --- finding ---


def test_other_folders_are_not_listed(make_run: MakeRun) -> None:
    assert list_runs() == []
    make_run("a-run")
    (runs_dir() / "unfinished").mkdir()
    (runs_dir() / "notes.txt").touch()
    assert [run.id for run in list_runs()] == ["a-run"]


def test_runs_are_in_the_order_in_which_they_were_made_whatever_the_clock_said(
    config: RunConfig,
) -> None:
    made = []
    for hours, name in ((9, "m"), (3, "z"), (6, "a")):  # by a clock that is set back, and again
        run = create_run(replace(config, id=name, created=f"2026-11-22T0{hours}:00:00+0000"), b"")
        age(run.config_path, 3600 * (10 - hours))
        made.append(run)
    assert list_runs() == made
    assert find_run("last").id == "a"
    shutil.copytree(runs_dir(), runs_dir().with_name("copy"), copy_function=shutil.copyfile)
    shutil.rmtree(runs_dir())
    runs_dir().with_name("copy").rename(runs_dir())  # a backup without dates
    assert list_runs() == made


def test_a_run_stays_in_its_place_when_others_are_renamed_removed_or_damaged(
    make_run: MakeRun,
) -> None:
    first, second, third, _ = (make_run(name) for name in "dcba")
    second = rename_run(second, "z")
    remove_run(find_run("last"))
    fifth = make_run("0")
    assert list_runs() == [first, second, third, fifth]
    second.config_path.write_bytes(b"number = 99\n?")
    assert list_runs() == [second, first, third, fifth]


def test_runs_of_before_they_were_numbered_are_older_and_in_the_order_of_their_dates(
    make_run: MakeRun,
) -> None:
    for day, name in ((3, "c"), (1, "b"), (2, "a")):
        path = make_run(name).config_path
        lines = path.read_text().replace("2026-11-22", f"2026-11-0{day}").splitlines()
        path.write_text("\n".join(line for line in lines if not line.startswith("number")))
    make_run("0")
    assert [run.id for run in list_runs()] == ["b", "a", "c", "0"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("alpha", "alpha"),
        ("beta", "a-beta"),
        ("alp", UsageError),
        ("b", "a-beta"),
        ("hac", "alphac"),
    ],
)
def test_a_unique_part_of_a_name_is_enough(
    make_run: MakeRun, name: str, found: str | type[Exception]
) -> None:
    for run in ("alpha", "alphac", "a-beta"):
        make_run(run)
    if isinstance(found, str):
        assert find_run(name).id == found
    else:
        with pytest.raises(found, match=r"several runs match alp.*alpha, alphac"):
            find_run(name)


@pytest.mark.parametrize("name", ["", "gamma", "../alpha", ".", "/", "last", "\x1b[2J", "*"])
def test_an_unknown_name_is_one_line(name: str) -> None:
    with pytest.raises(UsageError, match="no run of this name") as caught:
        find_run(name)
    assert "\x1b" not in caught.value.message


# --- the newest model ---


def trained(run: RunDirectory, state: str) -> RunDirectory:
    kind, values = ENDINGS[state]
    tell(run, kind, **values)
    run.model_path.touch()
    return run


def test_without_weights_there_is_no_newest_model(make_run: MakeRun) -> None:
    assert newest_model() is None
    tell(make_run("done-without-weights"), *ENDINGS["done"][:1], **ENDINGS["done"][1])
    assert newest_model() is None


def test_the_newest_finished_run_is_taken(make_run: MakeRun) -> None:
    trained(make_run("b-older"), "done")
    newest = trained(make_run("a-newest"), "done")
    age(newest.model_path, 3600)  # its clock was an hour slow
    assert newest_model() == newest


@pytest.mark.parametrize("state", ["stopped", "failed", "lost"])
def test_a_run_that_was_broken_off_does_not_count(make_run: MakeRun, state: str) -> None:
    finished = make_run("finished")
    trained(make_run("broken"), state)
    assert newest_model() is None
    trained(finished, "done")
    assert newest_model() == finished


def test_a_resumed_run_counts_again_only_when_it_has_finished(make_run: MakeRun) -> None:
    run = trained(make_run("a-run"), "stopped")
    tell(run, e.RunStarted, pid=1, device="cpu", resumed_step=1)
    assert newest_model() is None
    trained(run, "done")
    assert newest_model() == run


# --- naming and removing ---

BAD_NAMES = [
    "", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-rf", "a b", "a\n", "é", "x" * 101, "last",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused(make_run: MakeRun, name: str) -> None:
    run = make_run("a-run")
    with pytest.raises(UsageError, match="not a run name"):
        rename_run(run, name)
    assert [found.id for found in list_runs()] == ["a-run"]


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "x" * 100, "2026"])
def test_good_names_are_taken(name: str) -> None:
    check_run_name(name)


def test_a_taken_name_is_refused(make_run: MakeRun) -> None:
    make_run("taken")
    with pytest.raises(UsageError, match=r"the name is taken \(taken\)"):
        rename_run(make_run("a-run"), "taken")


def test_a_renamed_run_keeps_everything(make_run: MakeRun, config: RunConfig) -> None:
    renamed = rename_run(make_run("a-run"), "flowers-1")
    assert [run.id for run in list_runs()] == ["flowers-1"]
    assert find_run("flowers-1") == renamed
    assert renamed.config() == replace(config, id="flowers-1", number=1)


def test_a_run_whose_decision_is_damaged_is_not_renamed(make_run: MakeRun) -> None:
    run = make_run("a-run")
    run.config_path.write_bytes(b"?")
    with pytest.raises(UsageError, match="no readable run"):
        rename_run(run, "b-run")
    assert [found.id for found in list_runs()] == ["a-run"]


def test_a_run_at_work_is_neither_renamed_nor_removed(make_run: MakeRun) -> None:
    run = make_run("a-run")
    acquire(run.lock_path)
    with pytest.raises(UsageError, match=r"at work \(a-run\): vixtui runs stop a-run"):
        rename_run(run, "b-run")
    with pytest.raises(UsageError, match="at work"):
        remove_run(run)
    assert [found.id for found in list_runs()] == ["a-run"]


def test_a_removed_run_is_gone_and_the_others_stay(make_run: MakeRun) -> None:
    make_run("other")
    remove_run(make_run("a-run"))
    assert [run.id for run in list_runs()] == ["other"]


@pytest.mark.parametrize("change", [lambda run: rename_run(run, "b"), remove_run])
def test_a_failing_disk_is_a_disk_error(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, change: Callable[[RunDirectory], object]
) -> None:
    run = make_run("a-run")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(directory.shutil, "rmtree", refuse)
    with pytest.raises(DiskError, match="not writable"):
        change(run)
