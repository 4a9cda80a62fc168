"""A sweep over learning rates finds one that learns, and leaves nothing else behind."""

from __future__ import annotations

import pytest
from small_runs import WAIT_SECONDS, make_run, of, wait_for

from vixtui.engine.rate_finder import FIRST_RATE, LAST_RATE, Sweep, rate
from vixtui.runs import control
from vixtui.runs.events import RateFound, RunStarted, StepDone
from vixtui.runs.process import start_training
from vixtui.runs.weights import read_card


def test_rates_grow_by_a_constant_factor_from_first_to_last() -> None:
    assert rate(0) == FIRST_RATE
    assert rate(59) == pytest.approx(LAST_RATE)
    assert rate(20) ** 2 == pytest.approx(rate(19) * rate(21))


def test_the_suggestion_is_a_tenth_of_the_rate_with_the_lowest_loss() -> None:
    sweep = Sweep(rates=(1e-4, 1e-3, 1e-2, 1e-1), losses=(2.3, 2.0, 1.5, 9.0))
    assert sweep.suggested == pytest.approx(1e-3)
    assert Sweep(rates=(), losses=()).suggested == 0


def test_a_run_learns_at_the_rate_found_and_resumes_with_it_exactly() -> None:
    runs = [make_run(run_id=name, epochs=3, find_lr=True, lr=1.0) for name in ("whole", "stopped")]
    assert start_training(runs[0]).wait(WAIT_SECONDS) == 0
    found = of(runs[0], RateFound)[0]
    assert FIRST_RATE <= found.lr <= LAST_RATE / 10
    peak = max(step.lr for step in of(runs[0], StepDone))
    assert peak == pytest.approx(found.lr, rel=0.2)
    assert read_card(runs[0].model_path).provenance["lr"] == f"{found.lr:g}, by a sweep"
    process = start_training(runs[1])
    wait_for(runs[1], StepDone)
    control.send(runs[1].control_path, "stop")
    assert process.wait(WAIT_SECONDS) == 0
    assert start_training(runs[1]).wait(WAIT_SECONDS) == 0
    assert len(of(runs[1], RunStarted)) == 2
    assert [event.lr for event in of(runs[1], RateFound)] == [found.lr]
    assert runs[1].model_path.read_bytes() == runs[0].model_path.read_bytes()
