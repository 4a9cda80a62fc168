"""Promises about updates that become slow: fewer threads where that helps, more again later."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
import torch
from small_runs import make_run, of

from vixtui.engine import calibrate, setup
from vixtui.engine.calibrate import Speed, Way
from vixtui.engine.pace import Pace
from vixtui.engine.reporter import Reporter
from vixtui.engine.train import train
from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import EventWriter, Finished, ModelBuilt, ThreadsChanged

FAST, SLOW = 0.1, 2.0
SLOW_STEP = 4


class Clock:
    """Shows what it is set to."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_few_slow_updates_in_a_row_are_noticed_and_single_ones_are_not() -> None:
    found = Pace()
    assert not any(map(found.take_in, (FAST, FAST, SLOW, SLOW, FAST, SLOW, SLOW)))
    assert found.take_in(SLOW)


def test_twice_as_long_is_noticed_and_a_little_longer_is_not() -> None:
    found = Pace()
    assert not any(map(found.take_in, (2.0, *[3.0] * 9, 4.0, 4.0)))
    assert found.take_in(4.0)


def test_updates_that_are_slow_from_the_beginning_are_as_fast_as_can_be() -> None:
    found = Pace()
    assert not any(found.take_in(SLOW) for _ in range(100))


def test_slow_updates_that_take_little_time_are_let_be() -> None:
    found = Pace()
    assert not any(map(found.take_in, (0.001, *[0.01] * 100)))


def test_after_a_trial_that_kept_all_threads_slow_updates_are_looked_at_no_sooner_than_later() -> (
    None
):
    clock = Clock()
    found = Pace(clock)
    found.tried(fewer=False)
    assert not any(map(found.take_in, (FAST, *[SLOW] * 9)))
    clock.seconds = 1000.0
    assert found.take_in(SLOW)


def test_with_fewer_threads_more_are_tried_from_time_to_time() -> None:
    clock = Clock()
    found = Pace(clock)
    found.tried(fewer=True)
    assert not found.take_in(FAST)
    clock.seconds = 1000.0
    assert found.take_in(FAST)
    found.tried(fewer=False)
    clock.seconds = 2000.0
    assert not found.take_in(FAST)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[RunDirectory], None]]:
    """An engine in this process that finds two threads fastest at first, and one later.

    Its updates seem to have become slow at step 4.
    """
    threads_before, fastest, updates = torch.get_num_threads(), iter([2, 1]), itertools.count(1)

    def calibrating(
        run: Callable[[str], object], device: torch.device, ways: Sequence[Way], **_: float
    ) -> Speed:
        threads = next(fastest)
        (precision,) = {kind for kind, number in ways if number == threads}
        torch.set_num_threads(threads)
        run(precision)
        return Speed(threads, precision, 0.01)

    monkeypatch.setattr(calibrate, "calibrate", calibrating)
    monkeypatch.setattr(Pace, "take_in", lambda *_: next(updates) == SLOW_STEP)
    monkeypatch.setattr(setup, "limit_memory", lambda *_: None)
    monkeypatch.setattr(setup, "usable_cores", lambda: 2)
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def run_engine(run: RunDirectory) -> None:
        with closing(EventWriter(run.events_path)) as writer:
            train(run, Reporter(writer))

    yield run_engine
    torch.set_num_threads(threads_before)


def test_a_run_goes_on_with_the_threads_that_are_fastest_now(engine) -> None:
    run = make_run(epochs=1, threads=0)
    engine(run)
    assert of(run, ModelBuilt)[0].threads == 2
    (changed,) = of(run, ThreadsChanged)
    assert (changed.step, changed.threads) == (SLOW_STEP, 1)
    assert torch.get_num_threads() == 1
    progress = run.progress()
    assert progress.model is not None
    assert progress.model.threads == 1
    assert len(of(run, Finished)) == 1


def test_threads_that_the_user_chose_stay(engine) -> None:
    run = make_run(epochs=1, threads=2)
    engine(run)
    assert not of(run, ThreadsChanged)
    assert len(of(run, Finished)) == 1
