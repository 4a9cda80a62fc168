"""Runs in words and at a glance."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vixtui.runs import events as e
from vixtui.runs.config import Recipe
from vixtui.runs.describe import (
    death_text,
    differences,
    event_text,
    setting_text,
    settings,
    source_title,
    sparkline,
    summarise,
)
from vixtui.runs.progress import RunProgress


def test_settings_leave_out_what_is_no_choice(config):
    found = settings(config)
    assert found["recipe.epochs"] == 3
    assert found["model.token_mixer"] == "softmax"
    assert not {"id", "created", "schema_version"} & found.keys()


def test_only_settings_that_differ_are_compared(config):
    other = replace(config, id="b-run", recipe=Recipe(epochs=3, lr=0.001))
    assert differences([config, other]) == {"recipe.lr": (0.002, 0.001)}
    assert differences([config, config]) == {}


def test_how_a_prediction_came_about_is_no_difference(config):
    other = replace(config, plan=replace(config.plan, basis="corrected by 1 run"))
    assert differences([config, other]) == {}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("recipe.epochs", None, "–"),
        ("recipe.lr", 0.001, "0.001"),
        ("data.classes", ("a", "b"), "a, b"),
        ("plan.cache", True, "True"),
        ("plan.budget_bytes", 17_297_699_635, "17.3 GB"),
        ("plan.corrected_peak_bytes", None, "–"),
    ],
)
def test_a_setting_is_written_for_people(name, value, text):
    assert setting_text(name, value) == text


def test_a_summary_holds_the_latest_figures(make_run):
    run = make_run("a-run")
    log = e.EventWriter(run.events_path)
    log.write(e.RunStarted, 100.0, pid=1, device="cpu", resumed_step=0)
    log.write(
        e.StepDone, 112.0, step=1, epoch=1.0, loss=1.0, accuracy=0.5, lr=0.1, grad_norm=1.0,
        images_per_second=1.0, memory_bytes=1, progress=0.5, eta_seconds=1.0,
    )  # fmt: skip
    log.write(e.Validated, 113.0, epoch=1, step=1, top1=0.75, top5=1.0, loss=1.0, is_best=True)
    log.close()
    summary = summarise(run, None, run.progress())
    assert (summary.seconds, summary.best, summary.test) == (12.0, 0.75, None)
    assert summary.started > 0


def test_a_run_stopped_right_after_a_resume_keeps_its_time(make_run):
    run = make_run("a-run")
    log = e.EventWriter(run.events_path)
    step = dict(
        epoch=1.0, loss=1.0, accuracy=0.5, lr=0.1, grad_norm=1.0, images_per_second=1.0,
        memory_bytes=1, progress=0.5, eta_seconds=1.0,
    )  # fmt: skip
    log.write(e.RunStarted, 100.0, pid=1, device="cpu", resumed_step=0)
    log.write(e.StepDone, 119.0, step=1, **step)
    log.write(e.EpochDone, 120.0, epoch=1, step=1, loss=1.0, accuracy=0.5, seconds=20.0)
    log.write(e.RunStarted, 500.0, pid=1, device="cpu", resumed_step=1)
    log.write(e.Stopped, 501.0, step=1, epoch=1)
    log.close()
    assert summarise(run, None, run.progress()).seconds == 20.0
    log = e.EventWriter(run.events_path)
    log.write(e.RunStarted, 600.0, pid=1, device="cpu", resumed_step=1)
    log.write(e.StepDone, 607.0, step=2, **step)
    log.close()
    assert summarise(run, None, run.progress()).seconds == 27.0


def test_events_in_words_are_safe_to_show():
    shown = event_text(e.Warned(seq=0, t=0.0, message="bad\x1b[2J"))
    assert shown == "warning: bad\\x1b[2J"
    failed = event_text(e.Failed(seq=0, t=0.0, message="\u202ex", exit_code=1))
    assert failed == "failed: \\u202ex"


def test_one_thread_is_one():
    event = e.ModelBuilt(
        seq=0, t=0.0, parameters=1, threads=1, precision="fp32", images_per_second=1.0,
        steps_per_epoch=1, epochs=1, seconds_budget=None,
    )  # fmt: skip
    assert "1 thread," in str(event_text(event))


@pytest.mark.parametrize(
    ("code", "words"), [(-9, "memory ran out"), (137, "memory ran out"), (3, "with code 3")]
)
def test_a_dead_engine_is_explained(code, words):
    assert words in death_text(code)


def test_a_kill_that_the_kernel_counted_is_no_guess():
    guess, known = death_text(-9), death_text(-9, oom_killed=True)
    assert "a person, or" in guess
    assert "memory ran out" in known
    assert "a person, or" not in known
    assert death_text(None, oom_killed=True) == known
    assert "memory" not in death_text(3, oom_killed=True)


@pytest.mark.parametrize(
    ("micro_batch", "recompute", "words"),
    [
        (8, "none", "8 pictures at a time"),
        (1, "block", "1 picture at a time, blocks recomputed"),
        (1, "\x1b[2J", "1 picture at a time"),
    ],
)
def test_how_a_run_goes_on_after_memory_ran_out(micro_batch, recompute, words):
    event = e.MemoryRanOut(seq=0, t=0.0, step=1, micro_batch=micro_batch, recompute=recompute)
    assert str(event_text(event)).endswith(f"the step is done anew, {words}")


@pytest.mark.parametrize(
    ("epoch", "words"), [(3, "those of epoch 3 again"), (0, "the first ones again")]
)
def test_what_is_done_about_an_exploding_loss_is_told(epoch, words):
    back = e.WentBack(seq=0, t=0.0, step=9, epoch=epoch, rate=0.25)
    skipped = e.StepSkipped(seq=0, t=0.0, step=1234, skipped=1)
    assert words in str(event_text(back))
    assert "25.0 %" in str(event_text(back))
    assert "step 1,234" in str(event_text(skipped))
    progress = RunProgress()
    for event in (skipped, back):
        progress.apply(event)
    assert (progress.skipped, progress.went_back) == (1, back)


def test_a_full_disk_is_the_reason_of_an_engine_that_ended_with_code_6():
    assert "disk is full" in death_text(6)


def test_a_source_is_named_by_its_last_folder():
    assert [source_title(source) for source in ("digits", "/home/me/cats/", "/")] == [
        "digits", "cats", "/",
    ]  # fmt: skip


def test_a_curve_is_drawn_from_whatever_numbers_there_are():
    assert sparkline("1 2 3 8") == "▁▂▃█"
    assert sparkline("nan 4 4 inf x") == "▁▁"
    assert sparkline("") == ""
