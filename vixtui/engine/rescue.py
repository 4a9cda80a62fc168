"""Going on after a loss that is no number or explodes: skip, go back at a lower rate, then stop."""

from __future__ import annotations

import math

import torch

from vixtui.engine.keeper import Keeper
from vixtui.engine.learner import Update
from vixtui.engine.reporter import Reporter
from vixtui.engine.setup import Setup
from vixtui.errors import UsageError
from vixtui.runs import events

SKIPPED_IN_A_ROW = 3
SETBACKS = 3
RATE_OF_A_SETBACK = 0.25
# Guessing has a loss of log(classes) a picture, and healthy training stays near or below that.
_EXPLODED = 20.0


def is_sound(loss: float, grad_norm: float, num_classes: int) -> bool:
    """Tell whether an update may change the weights.

    Args:
        loss: mean of the batch.
        grad_norm: of the gradient before it is clipped.
        num_classes: of the model.
    """
    most = _EXPLODED * math.log(max(2, num_classes))
    return math.isfinite(grad_norm) and loss <= most  # NaN is not


def gave_up(step: int) -> UsageError:
    """Return the error for a run that nothing helps."""
    return UsageError(
        f"the loss explodes, or is no number, still at step {step:,}",
        where="--lr",
        remedy="train anew with a smaller --lr or --precision fp32",
    )


class Rescue:
    """Computes updates that may change the weights; all it decides follows from the state.

    Args:
        setup: what learns.
        keeper: has the weights to go back to.
        reporter: told of every rescue.
    """

    def __init__(self, setup: Setup, keeper: Keeper, reporter: Reporter) -> None:
        self._setup, self._keeper, self._reporter = setup, keeper, reporter

    @property
    def rate(self) -> float:
        """Factor on the learning rate."""
        return RATE_OF_A_SETBACK**self._setup.state.setbacks

    def accumulate(self, chosen: torch.Tensor, following: torch.Tensor) -> Update | None:
        """Return the update by the `chosen` training pictures, or None when it is to be skipped.

        Those of the `following` update are begun.

        Raises:
            UsageError: when going back has not helped.
        """
        state = self._setup.state
        while (update := self._sound_update(chosen, following)) is None:
            if state.skipped_in_a_row + 1 < SKIPPED_IN_A_ROW:
                state.skipped_in_a_row += 1
                state.skipped += 1
                self._reporter.write(events.StepSkipped, step=state.step + 1, skipped=state.skipped)
                return None
            self._go_back()
        state.skipped_in_a_row = 0
        return update

    def _sound_update(self, chosen: torch.Tensor, following: torch.Tensor) -> Update | None:
        """Return an update, in full precision if half does not do; None if neither does."""
        state, learner = self._setup.state, self._setup.learner
        update = self._setup.accumulate(chosen, following)
        if self._is_sound(update):
            return update
        learner.forget()
        if learner.precision == "fp32":
            return None
        learner.precision = "fp32"
        update = self._setup.accumulate(chosen, following)
        if self._is_sound(update):
            self._reporter.warn(
                f"no number comes out in {state.precision} at step {state.step + 1:,}, but in fp32:"
                " goes on in that"
            )
            state.precision = "fp32"
            return update
        learner.forget()
        learner.precision = state.precision
        return None

    def _is_sound(self, update: Update) -> bool:
        loss, norm = torch.stack([update.loss_sum / update.images, update.grad_norm]).tolist()
        sound = is_sound(loss, norm, self._setup.config.model.num_classes)
        return bool(self._setup.group.decide(sound))

    def _go_back(self) -> None:
        """Start from the kept weights, or the first ones, at a lower rate.

        The state is saved at once: a resume must not find weights that were kept later.
        """
        state = self._setup.state
        if state.setbacks == SETBACKS:
            raise gave_up(state.step + 1)
        epoch = state.best_epoch if self._keeper.has_weights else 0
        self._setup.start_from(self._keeper.kept_weights() if epoch else None)
        state.setbacks += 1
        state.skipped_in_a_row = 0
        self._reporter.write(events.WentBack, step=state.step + 1, epoch=epoch, rate=self.rate)
        self._keeper.save_state()
