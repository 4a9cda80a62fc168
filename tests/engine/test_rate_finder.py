"""A sweep over learning rates finds one that learns, and leaves nothing else behind."""

from __future__ import annotations

import math

import pytest
import torch
from small_runs import WAIT_SECONDS, make_run, of, wait_for

from vixtui.engine import rate_finder
from vixtui.engine.distributed import ALONE
from vixtui.engine.learner import Update
from vixtui.engine.rate_finder import FIRST_RATE, LAST_RATE, Sweep, sweep_rates
from vixtui.runs import control
from vixtui.runs.events import RateFound, RunStarted, StepDone
from vixtui.runs.process import start_training
from vixtui.runs.weights import read_card


class Slow:
    """A setup whose updates take time, and whose loss tells of the rate learned with before."""

    batch, epoch_steps, group = 1, 100, ALONE

    def __init__(self, seconds_an_update: float) -> None:
        self.learner, self.now, self._update_seconds = self, 0.0, seconds_an_update
        self.rates: list[float] = []

    def order(self, epoch: int) -> torch.Tensor:
        return torch.arange(100)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        assert not tensors

    def forget(self) -> None:
        pass

    def apply(self, *, step: int, lr: float) -> None:
        self.rates.append(lr)

    def accumulate(self, chosen: torch.Tensor, following: torch.Tensor) -> Update:
        self.now += self._update_seconds
        done = torch.tensor(math.log(self.rates[-1] if self.rates else FIRST_RATE))
        loss = 1 + 0.02 * (done - math.log(1e-2)) ** 2
        return Update(loss, torch.tensor(0), 1, torch.tensor(1.0))

    def stop_asked(self) -> bool:
        return False


def sweep(monkeypatch: pytest.MonkeyPatch, seconds_an_update: float, seconds: float) -> Sweep:
    slow = Slow(seconds_an_update)
    monkeypatch.setattr(rate_finder.time, "monotonic", lambda: slow.now)
    found = sweep_rates(slow, slow, seconds)  # type: ignore[arg-type]
    assert found is not None
    assert slow.now <= seconds + seconds_an_update
    return found


def test_rates_grow_by_a_constant_factor_from_first_to_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = sweep(monkeypatch, 1.0, math.inf).rates
    assert len(rates) == 60
    assert (rates[0], rates[-1]) == (FIRST_RATE, pytest.approx(LAST_RATE))
    assert rates[20] ** 2 == pytest.approx(rates[19] * rates[21])


def test_with_little_time_rates_grow_faster_and_with_less_none_is_suggested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, short = (sweep(monkeypatch, 1.0, seconds) for seconds in (1000, 30))
    assert not whole.hurried
    assert not short.hurried
    assert len(short.rates) == 31
    assert short.rates[-1] == pytest.approx(LAST_RATE)
    assert short.suggested == pytest.approx(whole.suggested, rel=0.5)
    assert sweep(monkeypatch, 1.0, 10).hurried
    assert sweep(monkeypatch, 1.0, 0).hurried


def test_the_suggestion_is_half_the_rate_with_the_lowest_loss() -> None:
    sweep = Sweep(rates=(1e-4, 1e-3, 1e-2, 1e-1), losses=(2.3, 2.0, 1.5, 9.0))
    assert sweep.suggested == pytest.approx(5e-3)
    assert Sweep(rates=(), losses=()).suggested == 0


def test_a_run_learns_at_the_rate_found_and_resumes_with_it_exactly() -> None:
    runs = [make_run(run_id=name, epochs=3, find_lr=True, lr=1.0) for name in ("whole", "stopped")]
    assert start_training(runs[0]).wait(WAIT_SECONDS) == 0
    found = of(runs[0], RateFound)[0]
    assert FIRST_RATE <= found.lr <= LAST_RATE / 2
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
