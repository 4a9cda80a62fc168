"""What a watcher reads."""

from __future__ import annotations

import pytest

from vixtui.cli.summary import _training_facts
from vixtui.cli.views import describe, figures
from vixtui.runs.events import Finished, ModelBuilt, StepDone, Validated, Warned
from vixtui.runs.progress import RunProgress


def _step(**values: float) -> StepDone:
    default = dict(
        seq=0, t=0.0, step=1, epoch=1.0, loss=0.5, accuracy=0.25, lr=1e-3, grad_norm=1.0,
        images_per_second=1234.0, memory_bytes=1, progress=0.5, eta_seconds=65.0,
    )  # fmt: skip
    return StepDone(**{**default, **values})  # type: ignore[arg-type]


def _trained(*steps: StepDone) -> RunProgress:
    progress = RunProgress()
    for step in steps:
        progress.apply(step)
    return progress


def test_the_bar_shows_loss_accuracy_time_left_and_speed():
    assert figures(_trained(_step())) == (
        "epoch 1  loss 0.500  top-1 25.0 %  1:05 left  1,234 img/s"
    )


def test_a_time_left_that_nobody_knows_yet_is_no_failure():
    assert "– left" in figures(_trained(_step(eta_seconds=float("nan"))))


def test_the_bar_fits_80_columns():
    longest = _trained(_step(epoch=999, loss=10.123, images_per_second=99_999, eta_seconds=99_999))
    assert len(figures(longest)) + 8 < 80


def test_before_the_first_step_the_phase_is_shown():
    assert figures(RunProgress()) == "starting"


def test_training_figures_of_another_epoch_are_not_shown():
    event = Validated(seq=1, t=0.0, epoch=3, step=9, top1=0.5, top5=1.0, loss=1.0, is_best=True)
    assert describe(event, RunProgress(), "r") == "epoch   3  validation 50.0 %  kept"


def test_a_warning_cannot_move_the_cursor():
    shown = describe(Warned(seq=0, t=0.0, message="bad\x1b[2J"), RunProgress(), "r")
    assert shown == "warning: bad\\x1b[2J"


def test_the_measured_choice_of_threads_is_told():
    event = ModelBuilt(
        seq=0, t=0.0, parameters=430_000, threads=2, precision="fp32", images_per_second=1830.0,
        steps_per_epoch=3, epochs=1, seconds_budget=None,
    )  # fmt: skip
    assert "2 threads" in str(describe(event, RunProgress(), "r"))


@pytest.mark.parametrize(
    ("epoch", "reason", "advised"), [(0.4, "time", True), (1.2, "time", False), (0.4, "x", False)]
)
def test_a_time_too_short_for_an_epoch_is_told(epoch, reason, advised):
    progress = _trained(_step(epoch=epoch))
    end = dict(reason=reason, best_epoch=0, best_top1=0.5, seconds=26.0, peak_memory_bytes=1)
    progress.apply(Finished(seq=1, t=1.0, **end))  # type: ignore[arg-type]
    [(_, told)] = _training_facts(progress)
    assert ("give more --time" in told) is advised
