"""What the model sees in training: mixed pictures while that is on, else those it predicts."""

from __future__ import annotations

import torch
from small_runs import make_run

from vixtui.engine.inputs import Normalise
from vixtui.engine.learner import Learner
from vixtui.runs.weights import Preprocessing


def loss(learner: Learner, *, mixing: bool) -> float:
    learner.mixing = mixing
    images = torch.arange(16 * 64, dtype=torch.uint8).view(16, 1, 8, 8)
    sums = learner.accumulate(images, torch.arange(16) % 10, step=3)
    learner.forget()
    return sums.loss_sum.item()


def learner(**recipe: float) -> Learner:
    config = make_run(run_id=f"run-{recipe['cutmix']}", crop=0.0, erase=0.0, **recipe).config()
    return Learner(config, Preprocessing(mean=(0.5,), std=(0.3,)), torch.device("cpu"))


def test_switched_off_the_pictures_are_those_of_a_recipe_that_mixes_none() -> None:
    mixed, plain = learner(cutmix=0.9), learner(cutmix=0.0)
    assert loss(mixed, mixing=True) != loss(plain, mixing=True)
    assert loss(mixed, mixing=False) == loss(plain, mixing=True)


def test_pictures_that_are_not_changed_are_what_a_prediction_is_made_of_bit_for_bit() -> None:
    trained = learner(cutmix=0.0, color_jitter=0.0)
    images = torch.arange(16 * 64, dtype=torch.uint8).view(16, 1, 8, 8)
    before = images.clone()

    draws = torch.rand(16, 12, generator=torch.Generator().manual_seed(0))
    inputs, _ = trained.examples(images, torch.arange(16), draws, draws, torch.arange(16))

    normalise = Normalise(Preprocessing(mean=(0.5,), std=(0.3,)), torch.device("cpu"))
    assert torch.equal(inputs, normalise.pixels(images))
    assert torch.equal(images, before)
