"""Promises about a loss that is no number or explodes: skip, go back, end with advice."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection
from contextlib import closing
from math import isnan

import pytest
import torch
from safetensors.torch import load_file
from small_runs import make_run, of
from torch import Tensor

from vixtui.engine import setup as engine_setup
from vixtui.engine.half import half_precision_works
from vixtui.engine.learner import Learner, Update
from vixtui.engine.reporter import Reporter
from vixtui.engine.rescue import Rescue, is_sound
from vixtui.engine.state import TrainState
from vixtui.engine.train import train
from vixtui.errors import UsageError
from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import (
    EpochDone,
    EventWriter,
    Finished,
    RunStarted,
    StepSkipped,
    Warned,
    WentBack,
)
from vixtui.runs.weights import Preprocessing

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("loss", "norm", "sound"),
    [
        (2.3, 1.0, True), (9.0, 1e9, True), (0.0, 0.0, True),
        (NAN, 1.0, False), (INF, 1.0, False), (2.3, NAN, False), (2.3, INF, False),
        (50.0, 1.0, False),
    ],
)  # fmt: skip
def test_only_a_usable_loss_and_gradient_change_the_weights(loss, norm, sound) -> None:
    assert is_sound(loss, norm, num_classes=10) == sound


class Crash(BaseException):
    """A power cut, as far as one process can have one."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """An engine in this process, whose loss is NaN at some steps, and which may crash at one."""
    monkeypatch.setattr(engine_setup, "limit_memory", lambda *_: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    combine, apply = Learner.combine, Learner.apply

    def run_engine(
        run: RunDirectory,
        *,
        bad: Collection[int] = (),
        setbacks: int = 1,
        crash: int = -1,
        only_in: str = "",
    ) -> None:
        """Spoil `bad` steps until so many `setbacks`, perhaps in one precision `only_in`."""
        at: list[TrainState] = []

        def accumulate(self: Rescue, chosen: Tensor, following: Tensor) -> Update | None:
            at[:] = [self._setup.state]
            return true_accumulate(self, chosen, following)

        def spoil(self: Learner, sums: object) -> Update:
            update = combine(self, sums)  # type: ignore[arg-type]
            spoilt = at[0].step in bad and at[0].setbacks < setbacks
            if spoilt and self.precision == (only_in or self.precision):
                return Update(
                    update.loss_sum * NAN, update.correct, update.images, update.grad_norm
                )
            return update

        def crashing(self: Learner, *, step: int, lr: float) -> None:
            if step == crash:
                raise Crash
            apply(self, step=step, lr=lr)

        true_accumulate = Rescue.accumulate
        with monkeypatch.context() as patch, closing(EventWriter(run.events_path)) as log:
            patch.setattr(Rescue, "accumulate", accumulate)
            patch.setattr(Learner, "combine", spoil)
            patch.setattr(Learner, "apply", crashing)
            train(run, Reporter(log))

    return run_engine


def test_a_step_without_a_number_changes_no_weight(engine: Callable[..., None]) -> None:
    run = make_run(epochs=1)
    steps = 19
    engine(run, bad=[step for step in range(steps) if step % 2])
    skipped = of(run, StepSkipped)
    assert [event.step for event in skipped] == [step + 1 for step in range(steps) if step % 2]
    assert [event.skipped for event in skipped] == list(range(1, 10))
    assert not of(run, WentBack)
    assert len(of(run, Finished)) == 1


def test_an_epoch_without_a_number_tells_none(engine: Callable[..., None]) -> None:
    run = make_run(epochs=2, batch_size=600)
    engine(run, bad=[0, 1])
    first, second = of(run, EpochDone)
    assert first.step == 2
    assert isnan(first.loss)
    assert isnan(first.accuracy)
    assert second.loss > 0


def test_several_in_a_row_go_back_and_a_crash_in_between_changes_nothing(
    engine: Callable[..., None],
) -> None:
    bad = [3, 24, 25, 26]
    whole, crashed = (make_run(run_id=name, epochs=3, ema=0.9) for name in ("whole", "crashed"))
    engine(whole, bad=bad)
    (back,) = of(whole, WentBack)
    assert (back.step, back.epoch, back.rate) == (27, 1, 0.25)
    assert [event.step for event in of(whole, StepSkipped)] == [4, 25, 26]

    for step in (22, 26, 30):
        with pytest.raises(Crash):
            engine(crashed, bad=bad, crash=step)
    engine(crashed, bad=bad)
    assert of(crashed, RunStarted)[-1].resumed_step >= 26
    assert crashed.model_path.read_bytes() == whole.model_path.read_bytes()


def test_before_anything_was_kept_it_goes_back_to_the_first_weights(
    engine: Callable[..., None],
) -> None:
    run = make_run(epochs=1, lr=1e-9, ema=0.0)
    engine(run, bad=[4, 5, 6])
    (back,) = of(run, WentBack)
    assert (back.step, back.epoch) == (7, 0)
    filters = load_file(run.model_path)["stages.0.embedding.projection.weight"]
    assert torch.allclose(filters[:4], -filters[4:8], atol=1e-5)  # made of the pictures


def test_what_nothing_helps_ends_with_advice(engine: Callable[..., None]) -> None:
    run = make_run(epochs=2)
    with pytest.raises(UsageError, match=r"explodes, or is no number.*--lr.*smaller --lr"):
        engine(run, bad=range(5, 99), setbacks=99)
    assert [event.rate for event in of(run, WentBack)] == [0.25, 0.25**2, 0.25**3]
    assert run.state_path.exists()


def test_a_step_that_fails_in_half_precision_alone_is_done_in_full(
    engine: Callable[..., None],
) -> None:
    run = make_run(epochs=1, precision="bf16")
    engine(run, bad=[4], only_in="bf16")
    assert not of(run, StepSkipped)
    (warned,) = of(run, Warned)
    assert "step 5" in warned.message
    assert "fp32" in warned.message


@pytest.fixture(params=["vit:tiny", "vip:tiny"])
def learner(request: pytest.FixtureRequest) -> Learner:
    config = make_run(preset_name=request.param).config()
    return Learner(config, Preprocessing(mean=(0.5,), std=(0.3,)), torch.device("cpu"))


@pytest.mark.parametrize("factor", [1.0, 0.0, NAN])
def test_a_device_that_cannot_compute_in_half_precision_is_found_out(
    learner: Learner, factor: float
) -> None:
    """As GPUs of the GTX 16 series do: NaN or zeros, in half precision only."""
    before = {name: tensor.clone() for name, tensor in learner.tensors().items()}

    def spoil(module: object, inputs: object, output: Tensor) -> Tensor:
        return output * factor if learner.precision == "bf16" else output

    learner.model.register_forward_hook(spoil)
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    works = half_precision_works(learner, images, torch.arange(4), "bf16")
    assert works == (factor == 1)
    assert all(torch.equal(before[name], tensor) for name, tensor in learner.tensors().items())
