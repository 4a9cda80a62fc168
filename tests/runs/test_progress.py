"""A log becomes one picture of a run."""

from __future__ import annotations

from typing import Any

import pytest

from vixtui.runs import events as e
from vixtui.runs.progress import RunProgress

AT = {"seq": 0, "t": 0.0}
STARTED = e.RunStarted(**AT, pid=1, device="cpu", resumed_step=0)
DATA = e.DataChecked(**AT, train=1, validation=1, test=1, unusable=0, num_classes=2, seconds=0.1)
BUILT = e.ModelBuilt(
    **AT, parameters=1, threads=1, precision="fp32", images_per_second=1.0, steps_per_epoch=2,
    epochs=2, seconds_budget=None,
)  # fmt: skip
TESTING = e.TestStarted(**AT, split="test", images=1)
TESTED = e.Tested(**AT, split="test", top1=0.5, top5=1.0, loss=1.0, images=1)
FINISHED = e.Finished(
    **AT, reason="schedule", best_epoch=1, best_top1=0.5, seconds=1.0, peak_memory_bytes=5
)
FAILED = e.Failed(**AT, message="the disk is full", exit_code=6)
STOPPED = e.Stopped(**AT, step=2, epoch=1)


def step(number: int, memory_bytes: int = 1) -> e.StepDone:
    return e.StepDone(
        **AT, step=number, epoch=1.0, loss=0.5, accuracy=0.5, lr=1e-3, grad_norm=1.0,
        images_per_second=1.0, memory_bytes=memory_bytes, progress=0.5, eta_seconds=1.0,
    )  # fmt: skip


def epoch(number: int, *, best: bool = True) -> list[e.Event]:
    return [
        e.EpochDone(**AT, epoch=number, step=2 * number, loss=0.5, accuracy=0.5, seconds=1.0),
        e.Validated(
            **AT, epoch=number, step=2 * number, top1=number / 10, top5=1.0, loss=0.5, is_best=best
        ),
    ]


def progress_of(*events: e.Event) -> RunProgress:
    progress = RunProgress()
    for event in events:
        progress.apply(event)
    return progress


@pytest.mark.parametrize(
    ("events", "phase"),
    [
        ([], "starting"),
        ([STARTED], "starting"),
        ([STARTED, DATA], "starting"),
        ([STARTED, DATA, BUILT], "training"),
        ([STARTED, BUILT, step(1), *epoch(1)], "training"),
        ([STARTED, BUILT, e.Paused(**AT, step=1)], "paused"),
        ([STARTED, BUILT, e.Paused(**AT, step=1), e.Resumed(**AT, step=1)], "training"),
        ([STARTED, BUILT, e.Paused(**AT, step=1), e.Checkpointed(**AT, step=1, bytes=1)], "paused"),
        ([STARTED, BUILT, step(1), TESTING], "testing"),
        ([STARTED, BUILT, step(1), TESTING, TESTED], "testing"),
        ([STARTED, BUILT, step(1), TESTING, TESTED, FINISHED], "done"),
        ([STARTED, BUILT, STOPPED], "stopped"),
        ([STARTED, BUILT, STOPPED, STARTED], "starting"),
        ([STARTED, FAILED], "failed"),
    ],
)
def test_the_phase_is_what_the_engine_said_last(events: list[e.Event], phase: str) -> None:
    progress = progress_of(*events)
    assert progress.phase == phase
    assert progress.ended == (phase in {"done", "stopped", "failed"})
    assert progress.events == len(events)


def test_a_resume_drops_what_was_lost_after_the_checkpoint() -> None:
    lost: list[e.Event] = [
        STARTED, BUILT, step(1), step(2), *epoch(1), e.Checkpointed(**AT, step=2, bytes=1),
        step(3), step(4), *epoch(2), step(5),
    ]  # fmt: skip
    progress = progress_of(*lost)
    assert progress.best is not None
    assert progress.best.epoch == 2
    progress.apply(e.RunStarted(**AT, pid=2, device="cpu", resumed_step=2))
    assert [event.step for event in progress.steps] == [1, 2]
    assert [event.epoch for event in progress.epochs] == [1]
    assert [event.epoch for event in progress.validations] == [1]
    assert progress.best.epoch == 1
    progress.apply(step(3))
    assert [event.step for event in progress.steps] == [1, 2, 3]


def test_a_resume_forgets_the_failure() -> None:
    progress = progress_of(STARTED, FAILED)
    assert progress.failed == FAILED
    progress.apply(STARTED)
    assert progress.failed is None


def test_the_best_is_the_validation_whose_weights_are_kept() -> None:
    progress = progress_of(*epoch(1), *epoch(3), *epoch(2, best=False))
    assert progress.best is not None
    assert progress.best.epoch == 3
    assert progress_of(*epoch(1, best=False)).best is None


@pytest.mark.parametrize(
    ("events", "peak"), [([], 0), ([step(1, 7), step(2, 3)], 7), ([step(1, 7), FINISHED], 7)]
)
def test_the_peak_is_the_largest_ever_seen(events: list[Any], peak: int) -> None:
    assert progress_of(*events).peak_memory_bytes == peak
