"""What runs teach about memory is read from their directories, and survives their removal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vixtui.runs import events as e
from vixtui.runs import lock, removal
from vixtui.runs.directory import RunDirectory, list_runs
from vixtui.runs.lessons import (
    keep_lesson,
    lesson_of,
    lessons_path,
    read_lessons,
    way_after_kill,
)
from vixtui.runs.removal import remove_run

MakeRun = Callable[[str], RunDirectory]
DONE = {"reason": "time", "best_epoch": 1, "best_top1": 0.5, "seconds": 1.0}


def tell(run: RunDirectory, kind: type[e.Event], **values: Any) -> None:
    writer = e.EventWriter(run.events_path)
    writer.write(kind, 1.0, **values)
    writer.close()


def finish(run: RunDirectory, peak_bytes: int) -> RunDirectory:
    tell(run, e.Finished, **DONE, peak_memory_bytes=peak_bytes)
    return run


def test_a_finished_run_teaches_its_peak(make_run: MakeRun) -> None:
    run = finish(make_run("a-run"), 123)
    (found,) = read_lessons()
    config = run.config()
    assert (found.run, found.device, found.preset) == ("a-run", "cpu", "vit:tiny")
    assert (found.peak_bytes, found.images, found.batch_size) == (123, 100, 64)
    assert found.model == config.model
    assert not found.ran_out


def test_the_last_time_memory_ran_out_counts_wherever_it_is_in_the_log(make_run: MakeRun) -> None:
    run = make_run("a-run")
    for micro_batch in (32, 16):
        tell(run, e.MemoryRanOut, step=0, micro_batch=micro_batch, recompute="mlp")
    for step in range(500):
        tell(run, e.Checkpointed, step=step, bytes=1)
    (found,) = read_lessons()
    assert (found.left_micro_batch, found.left_recompute, found.peak_bytes) == (16, "mlp", 0)
    assert found.ran_out
    assert not found.given_up


def test_a_run_that_gave_up_says_so(make_run: MakeRun) -> None:
    run = make_run("a-run")
    tell(run, e.MemoryRanOut, step=0, micro_batch=1, recompute="block")
    tell(run, e.Failed, message="memory ran out", exit_code=5)
    (found,) = read_lessons()
    assert found.given_up
    assert found.ran_out


def test_a_run_whose_pictures_had_no_room_says_nothing_of_its_model(make_run: MakeRun) -> None:
    tell(make_run("a-run"), e.Failed, message="decoded pictures", exit_code=5)
    assert read_lessons() == []


def test_unfinished_failed_and_damaged_runs_teach_nothing(make_run: MakeRun) -> None:
    make_run("not-begun")
    tell(make_run("stopped"), e.Stopped, step=1, epoch=1)
    tell(make_run("failed"), e.Failed, message="no", exit_code=6)
    finish(make_run("damaged"), 5).config_path.write_text("nonsense")
    make_run("empty").events_path.touch()
    assert read_lessons() == []


# --- engines that the kernel ended for lack of memory ---


@pytest.fixture
def killed_run(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunDirectory]:
    """Make a run whose engine told of some events and was ended; its lock names a dead owner."""
    counts = {"group": 0}
    monkeypatch.setattr(lock, "oom_kills", counts.copy)

    def make(*told: tuple[type[e.Event], dict[str, Any]]) -> RunDirectory:
        run = make_run("a-run")
        lock.acquire(run.lock_path)
        run.lock_path.write_text(json.dumps(json.loads(run.lock_path.read_text()) | {"pid": 0}))
        tell(run, e.RunStarted, pid=1, device="cpu", resumed_step=0)
        for kind, values in told:
            tell(run, kind, **values)
        counts["group"] += 1
        return run

    return make


CHECKED = (
    e.DataChecked,
    {
        "train": 100, "validation": 20, "test": 30, "unusable": 0, "num_classes": 3,
        "seconds": 1.0,
    },
)  # fmt: skip


def ran_out(micro_batch: int, recompute: str) -> tuple[type[e.Event], dict[str, Any]]:
    return e.MemoryRanOut, {"step": 0, "micro_batch": micro_batch, "recompute": recompute}


def test_the_kernel_teaches_that_half_the_pictures_are_enough(killed_run) -> None:
    run = killed_run(CHECKED)
    (found,) = read_lessons()
    assert found.ran_out
    assert (found.micro_batch, found.left_micro_batch, found.left_recompute) == (64, 32, "none")
    assert way_after_kill(run) == (32, "none")
    remove_run(run)
    assert [lesson.left_micro_batch for lesson in read_lessons()] == [32]


def test_it_teaches_from_where_the_engine_had_come_to(killed_run) -> None:
    run = killed_run(ran_out(32, "none"), CHECKED, ran_out(1, "none"))
    assert way_after_kill(run) == (1, "mlp")
    (found,) = read_lessons()
    assert (found.left_micro_batch, found.left_recompute) == (1, "mlp")


def test_killed_in_the_smallest_way_a_run_has_given_up(killed_run) -> None:
    run = killed_run(ran_out(1, "block"), CHECKED)
    assert way_after_kill(run) is None
    (found,) = read_lessons()
    assert found.given_up


@pytest.mark.parametrize(
    "told", [[], [CHECKED, (e.Stopped, {"step": 1, "epoch": 1})]], ids=["pictures", "stopped"]
)
def test_where_the_model_was_not_learning_it_teaches_nothing(killed_run, told) -> None:
    assert way_after_kill(killed_run(*told)) is None
    assert read_lessons() == []


def test_an_engine_at_work_has_not_been_killed(killed_run) -> None:
    lock.acquire(killed_run(CHECKED).lock_path)
    assert read_lessons() == []


def test_a_run_that_has_got_further_is_read_again(make_run: MakeRun) -> None:
    run = make_run("a-run")
    assert lesson_of(run) is None
    finish(run, 7)
    assert lesson_of(run) is not None


def test_lessons_outlive_their_run_and_come_after_those_of_runs(make_run: MakeRun) -> None:
    remove_run(finish(make_run("1-gone"), 111))
    finish(make_run("2-here"), 222)
    finish(make_run("3-here"), 333)
    assert [lesson.peak_bytes for lesson in read_lessons()] == [333, 222, 111]
    assert [run.id for run in list_runs()] == ["2-here", "3-here"]


def test_what_a_run_taught_is_kept_once(make_run: MakeRun) -> None:
    run = finish(make_run("a-run"), 1)
    keep_lesson(run)
    finish(run, 2)
    assert [lesson.peak_bytes for lesson in read_lessons()] == [2]
    remove_run(run)
    assert [lesson.peak_bytes for lesson in read_lessons()] == [2]


def test_a_full_disk_does_not_keep_a_run_from_being_removed(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: RunDirectory) -> None:
        raise removal.DiskError("the disk is full")

    monkeypatch.setattr(removal, "keep_lesson", refuse)
    remove_run(finish(make_run("a-run"), 1))
    assert list_runs() == []


def test_a_damaged_file_is_as_good_as_none_and_replaced(make_run: MakeRun) -> None:
    run = finish(make_run("a-run"), 1)
    lessons_path().write_text("nonsense")
    remove_run(run)
    assert [lesson.run for lesson in read_lessons()] == ["a-run"]


@given(st.data())
def test_no_change_to_the_file_makes_reading_fail(
    home: Path, make_run: MakeRun, data: st.DataObject
) -> None:
    if not lessons_path().exists():
        remove_run(finish(make_run("a-run"), 1))
    whole = lessons_path().read_bytes()
    try:
        content = json.loads(whole)
        entry = content["lessons"][0]
        name = data.draw(st.sampled_from(sorted(entry)))
        entry[name] = data.draw(
            st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
        )
        lessons_path().write_text(json.dumps(content))
        for found in read_lessons():
            assert min(found.images, found.batch_size, found.micro_batch) >= 1
            assert found.peak_bytes >= 0
    finally:
        lessons_path().write_bytes(whole)
