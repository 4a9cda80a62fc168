from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from small_machine import MACHINE

from vixtui.data.sources import DataSource
from vixtui.data.split import Split
from vixtui.errors import DiskError, DoesNotFitError, UsageError
from vixtui.hardware.machine import Figure
from vixtui.planning import start
from vixtui.planning.recommend import candidate
from vixtui.planning.speed import read_speeds
from vixtui.planning.start import prepare_run, task_of
from vixtui.planning.types import Budget, Candidate, Question
from vixtui.runs.config import Recipe
from vixtui.runs.directory import RunDirectory, list_runs
from vixtui.runs.events import EventWriter, ModelBuilt, RunStarted, StepDone

SOURCE = DataSource(
    source="digits",
    classes=("zero", "one"),
    image_height=8,
    image_width=8,
    in_channels=1,
    fingerprint="abc",
    horizontal_flip=False,
    split=Split(
        train=tuple((number, number % 2) for number in range(100)),
        validation=((100, 0),),
        test=((101, 1), (102, 0)),
    ),
)
BUDGET = Budget(device="cpu", bytes=4 * 10**9, source="test")
RECIPE = Recipe(epochs=2)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIXTUI_HOME", str(tmp_path))


def plan(processes: int = 1) -> Candidate:
    question = Question(task=task_of(SOURCE), budget=BUDGET, processes=processes)
    return candidate("vit:tiny", question, MACHINE)


def built(run: RunDirectory, images_per_second: float, processes: int = 1) -> None:
    writer = EventWriter(run.events_path)
    writer.write(
        ModelBuilt,
        t=0.0,
        parameters=1,
        threads=1,
        precision="fp32",
        images_per_second=images_per_second,
        steps_per_epoch=1,
        epochs=2,
        seconds_budget=None,
        processes=processes,
    )
    writer.close()


def test_the_task_counts_training_pictures() -> None:
    task = task_of(SOURCE)
    assert (task.images, task.num_classes, task.in_channels) == (100, 2, 1)


def test_a_prepared_run_reads_back_whole() -> None:
    run = prepare_run(SOURCE, plan(), BUDGET, RECIPE, seed=7)
    config = run.config()
    assert config.preset == "vit:tiny"
    assert config.model == plan().model
    assert config.recipe == RECIPE
    assert (config.seed, config.data.train, config.data.test) == (7, 100, 2)
    assert config.plan.predicted_peak_bytes <= config.plan.budget_bytes == BUDGET.bytes
    assert config.plan.basis.startswith("predicted")
    assert Split.from_json(run.split_path.read_bytes()) == SOURCE.split
    assert list_runs() == [run]


def test_a_run_keeps_the_way_and_both_predictions() -> None:
    chosen = replace(plan(), micro_batch=22, precision="bf16", recompute="block")
    written = prepare_run(SOURCE, chosen, BUDGET, RECIPE, name="a").config().plan
    assert (written.micro_batch, written.precision, written.recompute) == (22, "bf16", "block")
    assert written.expected_peak_bytes == written.predicted_peak_bytes == chosen.peak_bytes
    lowered = replace(chosen, peak_bytes=chosen.peak_bytes - 1)
    written = prepare_run(SOURCE, lowered, BUDGET, RECIPE, name="b").config().plan
    assert written.expected_peak_bytes == chosen.peak_bytes - 1
    assert written.predicted_peak_bytes == chosen.peak_bytes


def test_a_run_takes_the_name_it_is_given() -> None:
    assert prepare_run(SOURCE, plan(), BUDGET, RECIPE, name="first").id == "first"
    with pytest.raises(UsageError, match="taken"):
        prepare_run(SOURCE, plan(), BUDGET, RECIPE, name="first")


@pytest.mark.parametrize("name", ["../outside", "a/b", ".hidden", ""])
def test_an_unusable_name_writes_nothing(name: str) -> None:
    with pytest.raises(UsageError, match="not a run name"):
        prepare_run(SOURCE, plan(), BUDGET, RECIPE, name=name)
    assert list_runs() == []


def test_what_does_not_fit_is_not_started() -> None:
    with pytest.raises(DoesNotFitError, match=r"needs 900 MB, the budget is 4\.00 GB"):
        prepare_run(SOURCE, replace(plan(), fits=False, peak_bytes=900 * 10**6), BUDGET, RECIPE)
    assert list_runs() == []


def test_a_full_disk_is_told_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "disk_free", lambda folder: Figure(10**6, "file system"))
    with pytest.raises(DiskError, match=r"free are 1\.00 MB"):
        prepare_run(SOURCE, plan(), BUDGET, RECIPE)
    assert list_runs() == []


def trained(run: RunDirectory, speeds: Iterable[float]) -> None:
    writer = EventWriter(run.events_path)
    for step, speed in enumerate(speeds, start=1):
        writer.write(
            StepDone,
            t=float(step),
            step=step,
            epoch=0.1,
            loss=1.0,
            accuracy=0.5,
            lr=1e-3,
            grad_norm=1.0,
            images_per_second=speed,
            memory_bytes=1,
            progress=0.1,
            eta_seconds=1.0,
        )
    writer.close()


def test_speeds_of_earlier_runs_are_read_newest_first() -> None:
    for name, speed in (("a", 100.0), ("b", 200.0)):
        built(prepare_run(SOURCE, plan(), BUDGET, RECIPE, name=name), speed)
    assert [(speed.run, speed.images_per_second) for speed in read_speeds()] == [
        ("b", 200.0),
        ("a", 100.0),
    ]
    found = plan()
    assert found.time_basis == "measured in run b"
    assert found.seconds_per_epoch == 100 / 200


def test_speed_of_whole_steps_counts_rather_than_of_those_tried_before_the_first() -> None:
    run = prepare_run(SOURCE, plan(), BUDGET, RECIPE, name="a")
    built(run, 100.0)
    trained(run, [40.0, 90.0, 95.0, 85.0])
    assert [speed.images_per_second for speed in read_speeds()] == [100.0]  # too little to tell
    trained(run, [90.0])
    assert [speed.images_per_second for speed in read_speeds()] == [90.0]


@pytest.mark.parametrize("known_by", ["its plan", "what it told"])
def test_a_speed_of_two_processes_says_nothing_about_one(known_by: str) -> None:
    nproc, told = (2, 1) if known_by == "its plan" else (1, 2)
    alone = plan()
    built(prepare_run(SOURCE, alone, BUDGET, RECIPE, nproc=nproc), 1e6, told)
    assert plan() == alone
    both = plan(processes=2)
    assert both.time_basis.startswith("measured in run")
    assert both.seconds_per_epoch == 100 / 1e6


def test_a_run_that_goes_on_in_another_number_of_processes_is_as_fast_as_it_began() -> None:
    run = prepare_run(SOURCE, plan(), BUDGET, RECIPE)
    built(run, 100.0)
    writer = EventWriter(run.events_path)
    writer.write(RunStarted, t=1.0, pid=1, device="cpu", resumed_step=1)
    writer.close()
    trained(run, [900.0] * 9)
    assert [speed.images_per_second for speed in read_speeds()] == [100.0]


def test_a_run_that_has_got_further_is_read_again() -> None:
    run = prepare_run(SOURCE, plan(), BUDGET, RECIPE, name="a")
    assert read_speeds() == []
    built(run, 100.0)
    assert [speed.images_per_second for speed in read_speeds()] == [100.0]


def test_damaged_or_unfinished_runs_teach_nothing() -> None:
    prepare_run(SOURCE, plan(), BUDGET, RECIPE, name="not-begun")
    resumed = prepare_run(SOURCE, plan(), BUDGET, RECIPE, name="resumed")
    built(resumed, 0.0)
    damaged = prepare_run(SOURCE, plan(), BUDGET, RECIPE, name="damaged")
    built(damaged, 100.0)
    damaged.config_path.write_text("nonsense")
    assert read_speeds() == []
