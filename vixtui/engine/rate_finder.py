"""A learning rate found by trying: few updates with rates from far too small to far too large.

The range test of Smith (2017, section 3.3): the rate grows by a factor with each update until the
loss explodes. The suggested peak is a tenth of the rate at which the smoothed loss was lowest:
there the loss still falls fast, and far from where it explodes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from vixtui.engine.setup import Setup
from vixtui.engine.wishes import Wishes

FIRST_RATE, LAST_RATE = 1e-5, 1.0
_UPDATES = 60
_SMOOTHING = 0.8
# Loss beyond so many times the lowest has exploded.
_EXPLODED = 2.0
_BELOW_LOWEST = 0.1


@dataclass(frozen=True, slots=True)
class Sweep:
    """Smoothed losses at rates that grow by a constant factor, and the rate they suggest."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def suggested(self) -> float:
        """The suggested peak, to two digits; 0 if not even the first loss was a number."""
        if not self.losses:
            return 0.0
        lowest = min(range(len(self.losses)), key=self.losses.__getitem__)
        return float(f"{_BELOW_LOWEST * self.rates[lowest]:.1e}")


def sweep_rates(setup: Setup, wishes: Wishes) -> Sweep | None:
    """Try rates on the run's own pictures; the learner is left as it was.

    Args:
        setup: what learns, before its first update.
        wishes: looked at between updates.

    Returns:
        None when told to stop.
    """
    learner, batch = setup.learner, setup.batch
    before = {name: tensor.clone() for name, tensor in learner.tensors().items()}
    rates: list[float] = []
    losses: list[float] = []
    mean, order = 0.0, torch.cat([setup.order(epoch) for epoch in _epochs(setup)])
    try:
        for index in range(_UPDATES):
            if wishes.stop_asked():
                return None
            chosen, following = (order[batch * at : batch * (at + 1)] for at in (index, index + 1))
            update = setup.accumulate(chosen, following)
            loss = update.loss_sum.item() / update.images
            if not math.isfinite(loss):
                learner.forget()
                break
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
            losses.append(mean / (1 - _SMOOTHING ** (index + 1)))
            rates.append(rate(index))
            if losses[-1] > _EXPLODED * min(losses):
                learner.forget()
                break
            learner.apply(step=index, lr=rates[-1])
    finally:
        learner.load(before)
    return Sweep(tuple(rates), tuple(losses))


def rate(index: int) -> float:
    """Return the rate of an update of the sweep."""
    return FIRST_RATE * (LAST_RATE / FIRST_RATE) ** (index / (_UPDATES - 1))


def _epochs(setup: Setup) -> range:
    """Return as many epochs as the sweep takes pictures of."""
    return range(-(-(_UPDATES + 1) // setup.epoch_steps) + 1)
