"""The loop: one update after the other, a validation after an epoch, until the end or a stop."""

from __future__ import annotations

import math
import time

import torch

from vixtui.engine import evaluate
from vixtui.engine.clock import RunClock
from vixtui.engine.keeper import Keeper
from vixtui.engine.pace import Pace
from vixtui.engine.reporter import Reporter
from vixtui.engine.rescue import Rescue, gave_up
from vixtui.engine.schedule import learning_rate
from vixtui.engine.selection import is_gain, replaces_kept
from vixtui.engine.setup import Setup
from vixtui.engine.wishes import Wishes
from vixtui.runs import events
from vixtui.text import format_seconds

# In a run limited by time, validation and what it keeps may take at most this share of it.
_VALIDATION_SHARE = 0.05
# What a picture takes in a validation, of what it takes in an update, before one was measured.
_FORWARD_SHARE = 0.5


class Loop:
    """Trains from where the state stands.

    Args:
        setup: what learns.
        clock: of the run.
        keeper: writes what is learned.
        wishes: looked at between steps.
        reporter: told of everything.
    """

    def __init__(
        self, setup: Setup, clock: RunClock, keeper: Keeper, wishes: Wishes, reporter: Reporter
    ) -> None:
        self._setup, self._clock, self._keeper = setup, clock, keeper
        self._wishes, self._reporter = wishes, reporter
        self._rescue = Rescue(setup, keeper, reporter)
        self._state, self._recipe = setup.state, setup.config.recipe
        self._validated_at, self._validation_seconds = time.monotonic(), 0.0
        self._step_seconds, self._pace = 0.0, Pace()

    def fit(self) -> str | None:
        """Return why the training ended, or None when told to stop."""
        state, batch, epoch_steps = self._state, self._setup.batch, self._setup.epoch_steps
        first_step = state.step
        if not first_step:
            state.began_seconds = self._clock.elapsed()
            self._say_if_late()
        while (reason := self._end(progress := self._progress())) is None:
            epoch, index = divmod(state.step, epoch_steps)
            if not self._obey():
                return None
            if index == 0 or state.step == first_step:
                order = self._setup.order(epoch)
            chosen, following = (order[batch * at : batch * (at + 1)] for at in (index, index + 1))
            self._step(chosen, following, progress)
            epoch_ended = index + 1 == epoch_steps
            if epoch_ended:
                self._end_epoch(epoch + 1, progress)
            if self._keeper.state_due(epoch_ended=epoch_ended):
                self._keeper.save_state()
        if state.validated_step < state.step or not self._keeper.has_weights:
            self._validate(math.ceil(state.step / epoch_steps))
        if not self._keeper.has_weights:
            raise gave_up(state.step)
        self._keeper.save_state()
        return reason

    def _end(self, progress: float) -> str | None:
        """Return why the training is over, if it is."""
        recipe, state = self._recipe, self._state
        validated_epoch = state.validated_step // self._setup.epoch_steps
        if recipe.patience and validated_epoch - state.gained_epoch >= recipe.patience:
            return "early stopping"
        if progress >= 1 and state.step:
            return "schedule" if recipe.epochs else "time"
        return None

    def _say_if_late(self) -> None:
        seconds, ready = self._recipe.seconds, self._state.began_seconds
        if seconds is None or ready < seconds / 2:
            return
        left = "nothing is left, one update is done" if ready >= seconds else "give more time"
        self._reporter.warn(
            f"getting ready took {format_seconds(ready)} of {format_seconds(seconds)}: {left}"
        )

    def _progress(self) -> float:
        recipe, steps = self._recipe, self._state.step
        if recipe.epochs is not None:
            return steps / (recipe.epochs * self._setup.epoch_steps)
        assert recipe.seconds is not None
        # The last step begins when there is time for it and for the validation after it.
        validation = self._validation_seconds or self._expected_validation_seconds()
        reserve = 1.2 * validation + self._step_seconds + 0.1
        began = self._state.began_seconds
        whole = recipe.seconds - reserve - began
        mine = (self._clock.elapsed() - began) / whole if whole > 0 else 1.0
        return self._setup.group.decide(min(1.0, mine))

    def _expected_validation_seconds(self) -> float:
        updates = len(self._setup.pictures.validation.labels) / self._setup.batch
        return _FORWARD_SHARE * updates * self._step_seconds

    def _obey(self) -> bool:
        """Do what is asked; return False to stop."""
        command = self._wishes.poll()
        if command == "save":
            self._keeper.save_state()
        if command == "pause":
            self._keeper.save_state()
            self._reporter.write(events.Paused, step=self._state.step)
            command = self._wishes.wait_for_end_of_pause(self._clock.leave_out)
            if command == "resume":
                self._reporter.write(events.Resumed, step=self._state.step)
        return command != "stop"

    def _step(self, chosen: torch.Tensor, following: torch.Tensor, progress: float) -> None:
        recipe, state, started = self._recipe, self._state, time.perf_counter()
        self._setup.learner.mixing = self._setup.mixes and progress < recipe.mix_until
        update = self._rescue.accumulate(chosen, following)
        if update is None:
            state.step += 1
            return
        peak = (state.found_lr or recipe.lr) * self._rescue.rate
        # The one update of a run that had no time for any is a whole one.
        reached = progress if state.step else min(progress, recipe.warmup)
        lr = learning_rate(reached, peak=peak, warmup=recipe.warmup)
        self._setup.learner.apply(step=state.step, lr=lr)
        state.step += 1
        state.epoch_loss_sum += update.loss_sum.item()
        state.epoch_correct += update.correct.item()
        state.epoch_images += update.images
        self._step_seconds = time.perf_counter() - started
        self._reporter.step(
            update,
            step=state.step,
            epoch=state.step / self._setup.epoch_steps,
            lr=lr,
            progress=progress,
            seconds=self._step_seconds,
            device=self._setup.device,
            elapsed_seconds=self._clock.elapsed(),
        )
        if self._pace.take_in(self._step_seconds):
            self._pace.tried(fewer=self._setup.choose_threads_again())

    def _end_epoch(self, epoch: int, progress: float) -> None:
        state = self._state
        if self._recipe.seconds is not None and progress > 0:
            state.expected_epochs = epoch / progress
        images = state.epoch_images or math.nan  # when all updates were skipped
        self._reporter.write(
            events.EpochDone,
            epoch=epoch,
            step=state.step,
            loss=state.epoch_loss_sum / images,
            accuracy=state.epoch_correct / images,
            seconds=self._clock.elapsed(),
        )
        state.epoch_loss_sum = state.epoch_correct = state.epoch_images = 0
        if self._validation_due():
            self._validate(epoch)

    def _validation_due(self) -> bool:
        if self._recipe.seconds is None or not self._validation_seconds:
            return True
        since = time.monotonic() - self._validated_at
        return bool(self._setup.group.decide(self._validation_seconds < _VALIDATION_SHARE * since))

    def _validate(self, epoch: int) -> None:
        state, validation = self._state, self._setup.pictures.validation
        started = time.monotonic()
        if not len(validation.labels):
            state.validated_step = state.step
            state.best_epoch = state.gained_epoch = epoch
            self._keeper.save_weights({})
            return
        logits, _ = self._setup.logits(self._setup.learner.averaged, validation.images)
        scores = evaluate.score(logits, validation.labels)
        state.validated_step = state.step
        images = len(validation.labels)
        if is_gain(scores.top1, since=state.gained_top1, images=images):
            state.gained_epoch, state.gained_top1 = epoch, scores.top1
        kept = math.isfinite(scores.loss) and replaces_kept(
            scores.top1, highest=state.highest_top1, images=images
        )
        state.highest_top1 = max(state.highest_top1, scores.top1)
        measured = {"top1": scores.top1, "top5": scores.top5, "loss": scores.loss}
        if kept:
            state.best_top1, state.best_epoch = scores.top1, epoch
        if kept or (math.isfinite(scores.loss) and not self._keeper.has_weights):
            self._keeper.save_weights({"validation": measured | {"images": images}})
        self._reporter.write(
            events.Validated, epoch=epoch, step=state.step, is_best=kept, **measured
        )
        self._validated_at = time.monotonic()
        self._validation_seconds = self._validated_at - started
