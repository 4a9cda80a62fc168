"""A learning rate found by trying: few updates with rates from far too small to far too large.

The range test of Smith (2017, section 3.3): the rate grows by a factor with each update until the
loss explodes. The suggested peak is half the rate at which the smoothed loss was lowest, as that
lags behind the loss by some four updates, in which the rate doubles. A tenth of it, as is usual for
SGD, is too little for AdamW: in 50 s, 2,000 CIFAR-10 pictures and one thread, Hybrid FNet tiny
reached 39 % with it, 47 % with half and 50 % with the rate of 2e-3, which was the lowest itself.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from vixtui.engine.setup import Setup
from vixtui.engine.wishes import Wishes

FIRST_RATE, LAST_RATE = 1e-5, 1.0
_UPDATES = 60
_SMOOTHING = 0.8
# Loss beyond so many times the lowest has exploded.
_EXPLODED = 2.0
_OF_LOWEST = 0.5
# With fewer updates for the whole range, one tells of too many rates.
_FEWEST_UPDATES = 20


@dataclass(frozen=True, slots=True)
class Sweep:
    """Smoothed losses at rates that grow by about a constant factor, and the rate they suggest.

    `hurried` tells that the rates lie too far apart to suggest one.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    hurried: bool = False

    @property
    def suggested(self) -> float:
        """The suggested peak, to two digits; 0 if not even the first loss was a number."""
        if not self.losses:
            return 0.0
        lowest = min(range(len(self.losses)), key=self.losses.__getitem__)
        return float(f"{_OF_LOWEST * self.rates[lowest]:.1e}")


def sweep_rates(setup: Setup, wishes: Wishes, seconds: float = math.inf) -> Sweep | None:
    """Try rates on the run's own pictures; the learner is left as it was.

    Args:
        setup: what learns, before its first update.
        wishes: looked at between updates.
        seconds: after which an update is the last; where 60 take longer, the rate grows faster.

    Returns:
        None when told to stop.
    """
    learner, batch = setup.learner, setup.batch
    before = {name: tensor.clone() for name, tensor in learner.tensors().items()}
    rates: list[float] = []
    losses: list[float] = []
    mean, weight, reached = 0.0, 1.0, 0.0
    order = torch.cat([setup.order(epoch) for epoch in _epochs(setup)])
    started = time.monotonic()
    try:
        for index in range(_UPDATES):
            if wishes.stop_asked():
                return None
            passed = setup.group.decide((time.monotonic() - started) / max(1e-9, seconds))
            if passed > 1:
                reached = 1.0
                break
            before_it, reached = reached, max(index / (_UPDATES - 1), passed)
            chosen, following = (order[batch * at : batch * (at + 1)] for at in (index, index + 1))
            update = setup.accumulate(chosen, following)
            loss = update.loss_sum.item() / update.images
            if not math.isfinite(loss):
                learner.forget()
                break
            smoothing = _SMOOTHING ** (max(1.0, (_UPDATES - 1) * (reached - before_it)))
            mean, weight = smoothing * mean + (1 - smoothing) * loss, smoothing * weight
            losses.append(mean / (1 - weight))
            rates.append(rate(reached))
            if losses[-1] > _EXPLODED * min(losses):
                learner.forget()
                break
            learner.apply(step=index, lr=rates[-1])
    finally:
        learner.load(before)
    hurried = len(losses) < reached * _FEWEST_UPDATES
    return Sweep(tuple(rates), tuple(losses), hurried)


def rate(reached: float) -> float:
    """Return the rate at a fraction of the sweep, 0 to 1."""
    return float(FIRST_RATE * (LAST_RATE / FIRST_RATE) ** reached)


def _epochs(setup: Setup) -> range:
    """Return as many epochs as the sweep takes pictures of."""
    return range(-(-(_UPDATES + 1) // setup.epoch_steps) + 1)
