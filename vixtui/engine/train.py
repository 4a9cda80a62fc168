"""A training run from its directory: start or resume, epochs, validation, test.

Everything a viewer learns goes through the event log; everything a resume needs is in
``state.safetensors``.
"""

from __future__ import annotations

import json
import math
import os
import signal
import time
from dataclasses import replace

import psutil
import torch

from vixtui.engine import calibrate, evaluate
from vixtui.engine.device import peak_memory_bytes, select
from vixtui.engine.inputs import Normalise, measure
from vixtui.engine.intake import take_in
from vixtui.engine.learner import Learner, Update
from vixtui.engine.limit import limit_memory
from vixtui.engine.recovery import Recovery
from vixtui.engine.reporter import Reporter
from vixtui.engine.schedule import learning_rate
from vixtui.engine.seeding import epoch_order
from vixtui.engine.state import TrainState, load_state, save_state, saved_step
from vixtui.engine.weights import card_of, load_weights, save_weights
from vixtui.errors import DoesNotFitError, UsageError
from vixtui.files import write_atomically
from vixtui.models.config import Recompute
from vixtui.models.vision_xformer import VisionXFormer
from vixtui.runs import events
from vixtui.runs.control import Inbox
from vixtui.runs.directory import RunDirectory

_STATE_SECONDS = 5.0
# Saving the state may take at most this share of the time.
_SAVING_SHARE = 0.05
_PAUSE_POLL_SECONDS = 0.1
# Pictures that a forward pass without gradient has room for, by those that training has.
_EVALUATED_PER_LEARNED = 4
# In a run limited by time, validation may take at most this share of it.
_VALIDATION_SHARE = 0.1


class Training:
    """One engine process at work on one run.

    Args:
        run: its directory; ``run.toml`` and ``split.json`` are there.
        reporter: writes its events.
    """

    def __init__(self, run: RunDirectory, reporter: Reporter) -> None:
        self._run, self._reporter = run, reporter
        started = psutil.Process().create_time()
        self._inbox = Inbox(run.control_path, since=started)
        self._stop = False
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._on_signal)
        self._config = run.config()
        self._device = select(self._config.plan.device)
        # The clock of a run starts with the process: importing torch is part of the user's wait.
        self._session_started = time.monotonic() - (time.time() - started)
        self._earlier_seconds = self._paused_seconds = 0.0
        self._validated_at = self._state_saved_at = time.monotonic()
        self._validation_seconds = self._saving_seconds = 0.0

    def train(self) -> None:
        """Train to the end, or until told to stop."""
        self._reporter.write(
            events.RunStarted,
            run=self._run.id,
            pid=os.getpid(),
            device=self._config.plan.device,
            resumed_step=saved_step(self._run.state_path),
        )
        self._load_pictures()
        self._build()
        try:
            reason, seconds = self._fit(), self._elapsed()
        except DoesNotFitError:  # the state is that of the last whole step
            self._save_state()
            raise
        if reason is None:
            self._save_state()
            self._reporter.write(
                events.Stopped, step=self._state.step, epoch=self._state.step // self._epoch_steps
            )
            return
        self._test()
        self._reporter.write(
            events.Finished,
            reason=reason,
            best_epoch=self._state.best_epoch,
            best_top1=self._state.best_top1,
            seconds=seconds,
            peak_memory_bytes=peak_memory_bytes(self._device),
        )

    # --- before the first step ---

    def _load_pictures(self) -> None:
        started, config = time.perf_counter(), self._config
        pictures = take_in(config, self._run.split_path, warn=self._reporter.warn)
        self._train, self._validation = pictures.train, pictures.validation
        self._tested = pictures.test
        # The clock of a run does not count its test, nor what is read for it.
        self._paused_seconds += pictures.test_seconds
        self._reporter.write(
            events.DataChecked,
            train=len(self._train.labels),
            validation=len(self._validation.labels),
            test=len(self._tested.labels),
            unusable=pictures.unusable,
            num_classes=len(config.data.classes),
            seconds=time.perf_counter() - started,
        )

    def _build(self) -> None:
        preprocessing = measure(self._train.images)
        self._normalise = Normalise(preprocessing, self._device)
        self._learner = Learner(self._config, preprocessing, self._device)
        self._recovery = Recovery(self._learner, self._device, self._on_memory_ran_out)
        self._batch = min(self._config.recipe.batch_size, len(self._train.labels))
        self._learner.micro_batch = min(self._learner.micro_batch, self._batch)
        self._epoch_steps = len(self._train.labels) // self._batch
        self._card = card_of(self._config, preprocessing)
        seconds = self._prepare()
        self._first_step = self._state.step
        recipe = self._config.recipe
        self._reporter.write(
            events.ModelBuilt,
            parameters=sum(parameter.numel() for parameter in self._learner.model.parameters()),
            threads=self._state.threads,
            precision=self._state.precision,
            images_per_second=self._batch / seconds if seconds else 0.0,
            steps_per_epoch=self._epoch_steps,
            epochs=recipe.epochs,
            seconds_budget=recipe.seconds,
        )
        self._save_state()

    def _prepare(self) -> float:
        """Load or begin the state and warm up within the budget; return seconds an update or 0."""
        plan, state_path = self._config.plan, self._run.state_path
        resumed = state_path.exists()
        self._state = (
            load_state(state_path, self._learner)
            if resumed
            else TrainState(threads=plan.threads, precision=plan.precision)
        )
        state, seconds = self._state, 0.0
        self._try_update(state.precision, pictures=1)  # brings all libraries into memory
        limit_memory(self._device, plan.budget_bytes)
        if resumed:
            torch.set_num_threads(state.threads)
            self._earlier_seconds = state.elapsed_seconds
            self._learner.micro_batch = state.micro_batch or self._learner.micro_batch
            self._learner.recompute = state.recompute or self._learner.recompute
            self._try_update(state.precision)
        else:
            speed = calibrate.calibrate(
                self._try_update, self._device, threads=plan.threads, precision=plan.precision
            )
            state.threads, state.precision, seconds = speed.threads, speed.precision, speed.seconds
        self._learner.precision = state.precision
        if len(self._validation.labels):
            some = self._validation.images[: self._evaluated_at_once()]
            self._logits(self._learner.averaged, some)
        return seconds

    def _try_update(self, precision: str, pictures: int | None = None) -> None:
        """Compute an update, if not told otherwise as large as any, without a lasting effect."""
        count = pictures or self._batch
        images, labels = self._train.images[:count], self._train.labels[:count]
        self._learner.precision = precision
        self._recovery.run(lambda: self._learner.accumulate(images, labels, step=0))
        self._learner.forget()

    def _on_memory_ran_out(self, micro_batch: int, recompute: Recompute) -> None:
        step = self._state.step
        self._reporter.write(
            events.MemoryRanOut, step=step, micro_batch=micro_batch, recompute=recompute
        )

    # --- the loop ---

    def _fit(self) -> str | None:
        """Return why the training ended, or None when told to stop."""
        state = self._state
        while (reason := self._end()) is None:
            epoch, index = divmod(state.step, self._epoch_steps)
            if not self._obey() or self._stop:
                return None
            if index == 0 or state.step == self._first_step:
                order = epoch_order(self._config.seed, epoch, len(self._train.labels))
            self._step(order[index * self._batch : (index + 1) * self._batch])
            if index + 1 == self._epoch_steps:
                self._end_epoch(epoch + 1)
            if self._state_due():
                self._save_state()
        if state.validated_step < state.step or not self._run.model_path.exists():
            self._validate(math.ceil(state.step / self._epoch_steps))
        self._save_state()
        return reason

    def _end(self) -> str | None:
        """Return why the training is over, if it is."""
        recipe, state = self._config.recipe, self._state
        validated_epoch = state.validated_step // self._epoch_steps
        if recipe.patience and validated_epoch - state.gained_epoch >= recipe.patience:
            return "early stopping"
        if self._progress() >= 1:
            return "schedule" if recipe.epochs else "time"
        return None

    def _step(self, chosen: torch.Tensor) -> None:
        recipe, state = self._config.recipe, self._state
        progress = self._progress()
        lr = learning_rate(progress, peak=recipe.lr, warmup=recipe.warmup)
        images, labels = self._train.images[chosen], self._train.labels[chosen]
        update = self._recovery.run(
            lambda: self._learner.accumulate(images, labels, step=state.step)
        )
        self._learner.apply(step=state.step, lr=lr)
        state.step += 1
        self._count(update)
        self._reporter.step(
            update,
            step=state.step,
            epoch=state.step / self._epoch_steps,
            lr=lr,
            progress=progress,
            device=self._device,
            elapsed_seconds=self._elapsed(),
        )

    def _count(self, update: Update) -> None:
        state = self._state
        loss = update.loss_sum.item()
        if not math.isfinite(loss):
            raise UsageError(
                f"the loss is no number any more at step {state.step}",
                where="--lr",
                remedy="train anew with a smaller --lr or --precision fp32",
            )
        state.epoch_loss_sum += loss
        state.epoch_correct += update.correct.item()
        state.epoch_images += update.images

    def _end_epoch(self, epoch: int) -> None:
        state = self._state
        self._reporter.write(
            events.EpochDone,
            epoch=epoch,
            step=state.step,
            loss=state.epoch_loss_sum / max(1, state.epoch_images),
            accuracy=state.epoch_correct / max(1, state.epoch_images),
            seconds=self._elapsed(),
        )
        state.epoch_loss_sum = state.epoch_correct = state.epoch_images = 0
        if self._validation_due():
            self._validate(epoch)

    def _validation_due(self) -> bool:
        if self._config.recipe.seconds is None or not self._validation_seconds:
            return True
        since = time.monotonic() - self._validated_at
        return self._validation_seconds < _VALIDATION_SHARE * since

    def _validate(self, epoch: int) -> None:
        state, started = self._state, time.monotonic()
        if not len(self._validation.labels):
            state.validated_step = state.step
            state.best_epoch = state.gained_epoch = epoch
            self._save_weights({})
            return
        logits, _ = self._logits(self._learner.averaged, self._validation.images)
        scores = evaluate.score(logits, self._validation.labels)
        state.validated_step = state.step
        better = (scores.top1, -scores.loss) > (state.best_top1, -state.best_loss)
        if scores.top1 > state.best_top1:
            state.gained_epoch = epoch
        if better:
            state.best_top1, state.best_loss = scores.top1, scores.loss
            state.best_epoch = epoch
            self._save_weights(
                {
                    "validation": {
                        "top1": scores.top1,
                        "top5": scores.top5,
                        "loss": scores.loss,
                        "images": len(self._validation.labels),
                    }
                }
            )
        self._reporter.write(
            events.Validated,
            epoch=epoch,
            step=state.step,
            top1=scores.top1,
            top5=scores.top5,
            loss=scores.loss,
            is_best=better,
        )
        self._validated_at = time.monotonic()
        self._validation_seconds = self._validated_at - started
        if better:
            self._save_state()

    def _logits(self, model: VisionXFormer, images: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Return logits and images a second."""
        return self._recovery.run(
            lambda: evaluate.timed_logits(
                model, images, self._normalise, batch_size=self._evaluated_at_once()
            )
        )

    def _evaluated_at_once(self) -> int:
        return _EVALUATED_PER_LEARNED * self._learner.micro_batch

    # --- time, wishes, saving ---

    def _elapsed(self) -> float:
        """Seconds of training so far, over all sessions, pauses left out."""
        session = time.monotonic() - self._session_started - self._paused_seconds
        return self._earlier_seconds + session

    def _progress(self) -> float:
        recipe, steps = self._config.recipe, self._state.step
        if recipe.epochs is not None:
            return steps / (recipe.epochs * self._epoch_steps)
        assert recipe.seconds is not None
        reserve = 1.2 * self._validation_seconds + 0.1
        return self._elapsed() / max(1e-3, recipe.seconds - reserve)

    def _obey(self) -> bool:
        """Do what the control file asks; return False to stop."""
        command = self._inbox.poll()
        if command == "save":
            self._save_state()
        if command == "pause":
            self._save_state()
            self._reporter.write(events.Paused, step=self._state.step)
            paused = time.monotonic()
            while command not in ("resume", "stop") and not self._stop:
                time.sleep(_PAUSE_POLL_SECONDS)
                command = self._inbox.poll()
            self._paused_seconds += time.monotonic() - paused
            if command == "resume":
                self._reporter.write(events.Resumed, step=self._state.step)
        return command != "stop"

    def _on_signal(self, *_: object) -> None:
        self._stop = True

    def _state_due(self) -> bool:
        since = time.monotonic() - self._state_saved_at
        return since > max(_STATE_SECONDS, self._saving_seconds / _SAVING_SHARE)

    def _save_state(self) -> None:
        started = time.monotonic()
        self._state.elapsed_seconds = self._elapsed()
        self._state.micro_batch = self._learner.micro_batch
        self._state.recompute = self._learner.recompute
        size = save_state(self._run.state_path, self._learner, self._state)
        self._state_saved_at = time.monotonic()
        self._saving_seconds = self._state_saved_at - started
        self._reporter.write(events.Checkpointed, step=self._state.step, bytes=size)

    def _save_weights(self, metrics: dict[str, dict[str, float]]) -> None:
        card = replace(self._card, metrics=metrics)
        save_weights(self._run.model_path, self._learner.averaged.state_dict(), card)

    # --- after the last step ---

    def _test(self) -> None:
        if not len(self._tested.labels):
            return
        self._reporter.write(events.TestStarted, split="test", images=len(self._tested.labels))
        model, card = load_weights(self._run.model_path)
        logits, speed = self._logits(model.to(self._device), self._tested.images)
        result = evaluate.report(
            logits,
            self._tested,
            classes=card.classes,
            source=self._config.data.source,
            split="test",
        )
        result |= {"images_per_second": speed, "model": self._run.id}
        write_atomically(self._run.evaluation_path, json.dumps(result).encode())
        tested = {name: result[name] for name in ("top1", "top5", "loss", "images")}
        metrics = card.metrics | {"test": tested}
        save_weights(self._run.model_path, model.state_dict(), replace(card, metrics=metrics))
        self._reporter.write(events.Tested, split="test", **tested)
