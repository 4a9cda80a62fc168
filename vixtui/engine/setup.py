"""What a run learns with, made ready: model, optimizer, pictures, the way to compute an update."""

from __future__ import annotations

import torch

from vixtui.engine import calibrate, evaluate
from vixtui.engine.inputs import Normalise, measure
from vixtui.engine.intake import Intake
from vixtui.engine.learner import Learner, Update
from vixtui.engine.limit import limit_memory
from vixtui.engine.recovery import Recovery
from vixtui.engine.reporter import Reporter
from vixtui.engine.state import TrainState, load_state
from vixtui.engine.weights import card_of
from vixtui.models.config import Recompute
from vixtui.models.vision_xformer import VisionXFormer
from vixtui.runs import events
from vixtui.runs.config import RunConfig
from vixtui.runs.directory import RunDirectory

# Pictures that a forward pass without gradient has room for, by those that training has.
_EVALUATED_PER_LEARNED = 4


class Setup:
    """A learner with its pictures and where it stands; work that memory runs out for is done anew.

    Args:
        run: where the state lies, if there is one.
        config: of the run.
        pictures: decoded.
        device: where to compute.
        reporter: told when memory ran out.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: RunConfig,
        pictures: Intake,
        device: torch.device,
        reporter: Reporter,
    ) -> None:
        self.config, self.pictures, self.device = config, pictures, device
        self._reporter = reporter
        preprocessing = measure(pictures.train.images)
        self._normalise = Normalise(preprocessing, device)
        self.learner = Learner(config, preprocessing, device)
        self._recovery = Recovery(self.learner, device, self._on_memory_ran_out)
        self.batch = min(config.recipe.batch_size, len(pictures.train.labels))
        self.learner.micro_batch = min(self.learner.micro_batch, self.batch)
        self.epoch_steps = len(pictures.train.labels) // self.batch
        self.card = card_of(config, preprocessing)
        self.resumed = run.state_path.exists()
        self.state = (
            load_state(run.state_path, self.learner)
            if self.resumed
            else TrainState(threads=config.plan.threads, precision=config.plan.precision)
        )

    def warm_up(self) -> float:
        """Try an update and a validation within the budget; return seconds an update or 0.

        A new run measures its threads and precision here.
        """
        plan, state, seconds = self.config.plan, self.state, 0.0
        self._try_update(state.precision, pictures=1)  # brings all libraries into memory
        limit_memory(self.device, plan.budget_bytes)
        if self.resumed:
            torch.set_num_threads(state.threads)
            self.learner.micro_batch = state.micro_batch or self.learner.micro_batch
            self.learner.recompute = state.recompute or self.learner.recompute
            self._try_update(state.precision)
        else:
            speed = calibrate.calibrate(
                self._try_update, self.device, threads=plan.threads, precision=plan.precision
            )
            state.threads, state.precision, seconds = speed.threads, speed.precision, speed.seconds
        self.learner.precision = state.precision
        if len(self.pictures.validation.labels):
            some = self.pictures.validation.images[: self._evaluated_at_once()]
            self.logits(self.learner.averaged, some)
        return seconds

    def accumulate(self, chosen: torch.Tensor) -> Update:
        """Compute the gradient of the next update from the `chosen` training pictures."""
        images, labels = self.pictures.train.images[chosen], self.pictures.train.labels[chosen]
        return self._recovery.run(
            lambda: self.learner.accumulate(images, labels, step=self.state.step)
        )

    def logits(self, model: VisionXFormer, images: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Return logits and images a second."""
        return self._recovery.run(
            lambda: evaluate.timed_logits(
                model, images, self._normalise, batch_size=self._evaluated_at_once()
            )
        )

    def _try_update(self, precision: str, pictures: int | None = None) -> None:
        """Compute an update, if not told otherwise as large as any, without a lasting effect."""
        train, count = self.pictures.train, pictures or self.batch
        images, labels = train.images[:count], train.labels[:count]
        self.learner.precision = precision
        self._recovery.run(lambda: self.learner.accumulate(images, labels, step=0))
        self.learner.forget()

    def _evaluated_at_once(self) -> int:
        return _EVALUATED_PER_LEARNED * self.learner.micro_batch

    def _on_memory_ran_out(self, micro_batch: int, recompute: Recompute) -> None:
        step = self.state.step
        self._reporter.write(
            events.MemoryRanOut, step=step, micro_batch=micro_batch, recompute=recompute
        )
