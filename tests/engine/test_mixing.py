"""Pictures are mixed while that is on; a run ends on whole ones."""

from __future__ import annotations

import torch
from small_runs import make_run

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
