"""What learns: the model, its averaged copy and the optimizer, one weight update at a time.

Letters: b pictures of an update, c channels, (h, w) pixels.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vixtui.data.augment import augment, draw
from vixtui.data.mix import draw_mix, mix
from vixtui.data.tensors import Images
from vixtui.engine.adamw import AdamW
from vixtui.engine.distributed import ALONE, Group
from vixtui.engine.inputs import Normalise, enough_threads
from vixtui.engine.seeding import derived_seed, generator
from vixtui.models.blocks import Block
from vixtui.models.config import Recompute
from vixtui.models.mixers.performer import Performer, redraw_features
from vixtui.models.vision_xformer import VisionXFormer, build
from vixtui.runs.config import RunConfig
from vixtui.runs.weights import Preprocessing


@dataclass(frozen=True, slots=True)
class Sums:
    """Summed loss and correct ones of this process's rows of a batch, still on the device."""

    loss_sum: Tensor
    correct: Tensor
    images: int


@dataclass(frozen=True, slots=True)
class Update(Sums):
    """The sums over all rows, and the norm of the gradient before it was clipped."""

    grad_norm: Tensor


class Learner:
    """A model in training. Every random draw of an update follows from (seed, step).

    `precision`, `micro_batch` and `recompute` say how an update is computed and may change between
    any two; the last two start as planned. `mixing` tells whether pictures are mixed, where the
    recipe says so.

    Args:
        config: the run.
        preprocessing: normalisation of the training pictures.
        device: where the model lives.
        group: the processes that share every batch.
    """

    def __init__(
        self,
        config: RunConfig,
        preprocessing: Preprocessing,
        device: torch.device,
        group: Group = ALONE,
    ) -> None:
        self._config = config
        self._group = group
        self._device = device
        self._normalise = Normalise(preprocessing, device)
        data = config.data
        self._values_a_picture = data.in_channels * data.image_height * data.image_width
        self._class_weights: Tensor | None = None
        self.precision = "fp32"
        self.mixing = True
        self.micro_batch = min(config.plan.micro_batch, config.recipe.batch_size)
        self._recompute = config.plan.recompute
        self.model = self._first_model().to(device)
        self.averaged: VisionXFormer = (
            copy.deepcopy(self.model) if config.recipe.ema else self.model
        )
        self.averaged.requires_grad_(self.averaged is self.model)
        self._optimizer = AdamW(self.model, config.recipe.weight_decay)
        self._weights = sum(parameter.numel() for parameter in self.model.parameters())

    def _first_model(self) -> VisionXFormer:
        torch.manual_seed(derived_seed(self._config.seed, "weights", 0))
        return build(self._config.model, recompute=self._config.plan.recompute)

    def start_from(self, weights: Mapping[str, Tensor] | None) -> None:
        """Forget all that was learned but `weights`, or start from the first ones."""
        weights = self._first_model().state_dict() if weights is None else weights
        self.model.load_state_dict(weights)
        if self.averaged is not self.model:
            self.averaged.load_state_dict(weights)
        self._optimizer.forget()

    @property
    def recompute(self) -> Recompute:
        """What a step computes twice to need less memory; the gradients are always the same."""
        return self._recompute

    @recompute.setter
    def recompute(self, level: Recompute) -> None:
        self._recompute = level
        for module in self.model.modules():
            if isinstance(module, Block):
                module.recompute = level
                if isinstance(module.mixer, Performer):
                    module.mixer.keep_features = level == "fast"

    def weigh_classes(self, labels: Tensor) -> None:
        """Let every class count the same in the loss, however few of the (n,) `labels` it has.

        Over all training pictures the weights' mean is 1; they do not depend on the batch, so that
        any micro-batch gives the same gradient.
        """
        count = labels.bincount(minlength=self._config.model.num_classes)
        weights = len(labels) / ((count > 0).sum() * count.clamp_min(1))
        self._class_weights = weights.to(self._device, torch.float32)

    def accumulate(self, images: Images, labels: Tensor, *, step: int) -> Sums:
        """Compute this process's part of the gradient of (b, c, h, w) uint8 pictures, (b,) labels.

        Micro-batches are summed and divided by b, so that any micro-batch, and any number of
        processes, gives the same gradient but for rounding, and but for dropout, whose masks
        follow the order of computation. The weights are left alone; after a failure it can be
        called again once `forget` was.
        """
        recipe, seed = self._config.recipe, self._config.seed
        if recipe.redraw_features and step and step % recipe.redraw_features == 0:
            self._redraw_features(step)
        rank = self._group.rank
        torch.manual_seed(derived_seed(seed, f"dropout/{rank}" if rank else "dropout", step))
        rows = self._group.rows(len(images))
        draws = draw(len(images), generator(seed, "augmentation", step))
        mix_draws = draw_mix(len(images), generator(seed, "mix", step))
        self.model.train()
        loss_sum = torch.zeros((), device=self._device)
        correct = torch.zeros((), device=self._device)
        for start in range(rows.start, rows.stop, self.micro_batch):
            part = torch.arange(start, min(start + self.micro_batch, rows.stop))
            with enough_threads(len(part) * self._values_a_picture):
                inputs, target = self.examples(images, labels, draws, mix_draws, part)
            answers = target if target.ndim == 1 else target.argmax(1)
            with self.autocast():
                logits = self.model(inputs)
            loss = F.cross_entropy(
                logits.float(),
                target,
                weight=self._class_weights,
                reduction="sum",
                label_smoothing=recipe.label_smoothing,
            )
            (loss / len(images)).backward()
            loss_sum += loss.detach()
            correct += (logits.argmax(1) == answers).sum()
        return Sums(loss_sum, correct, len(images))

    @torch.no_grad()
    def examples(
        self, images: Images, labels: Tensor, draws: Tensor, mix_draws: Tensor, part: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return a `part` of a batch as the model sees it, (m, c, h, w), and what it should say.

        That is (m,) labels, or (m, classes) shares where pictures are mixed.
        """
        recipe = self._config.recipe
        if not self.mixing or recipe.mixup + recipe.cutmix == 0:
            inputs = self._augmented(images[part], draws[part])
            return self._normalise(inputs), labels[part].to(self._device, non_blocking=True)
        # The partner of a row is the one before it, whichever part that is in.
        with_partner = torch.cat([part[:1] - 1, part]) % len(images)
        augmented = self._augmented(images[with_partner], draws[with_partner])  # (m + 1, c, h, w)
        inputs, own = mix(
            augmented[1:],
            augmented[:-1],
            draws=mix_draws[part],
            mixup=recipe.mixup,
            cutmix=recipe.cutmix,
        )
        classes = F.one_hot(labels[with_partner], self._config.model.num_classes)
        classes = classes.to(self._device, torch.float32)
        return self._normalise(inputs), torch.lerp(classes[:-1], classes[1:], own[:, None])

    def _augmented(self, images: Tensor, draws: Tensor) -> Tensor:
        """(m, c, h, w) uint8 → float32 on the device, in [0, 1]."""
        recipe = self._config.recipe
        return augment(
            images.to(self._device, non_blocking=True),
            draws=draws,
            crop=recipe.crop,
            horizontal_flip=self._config.data.horizontal_flip,
            color_jitter=recipe.color_jitter,
            erase=recipe.erase,
            trivial=recipe.trivial,
        )

    def combine(self, sums: Sums) -> Update:
        """Add up the gradient's parts of all processes and clip their sum."""
        gradients = [
            parameter.grad for parameter in self.model.parameters() if parameter.grad is not None
        ]
        self._group.add_up([*gradients, sums.loss_sum, sums.correct])
        largest = self._config.recipe.grad_clip or float("inf")
        with enough_threads(self._weights):
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), largest)
        return Update(sums.loss_sum, sums.correct, sums.images, norm)

    def forget(self) -> None:
        """Let go of an accumulated gradient."""
        self.model.zero_grad(set_to_none=True)

    def apply(self, *, step: int, lr: float) -> None:
        """Change the weights once, by the accumulated gradient, and let go of it."""
        with enough_threads(self._weights):
            self._optimizer.step(lr)
            if self.averaged is not self.model:
                self._average(step)
        self.forget()

    def autocast(self) -> torch.autocast:
        """Return the context of a forward pass in this run's precision."""
        return torch.autocast(
            self._device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        )

    @torch.no_grad()
    def _average(self, step: int) -> None:
        decay = min(self._config.recipe.ema, (1 + step) / (10 + step))
        averages: list[Tensor] = list(self.averaged.parameters())
        torch._foreach_lerp_(averages, list(self.model.parameters()), 1 - decay)

    def _redraw_features(self, step: int) -> None:
        for model in (self.model, self.averaged):
            redraw_features(model, generator(self._config.seed, "features", step))

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor an exact resume needs, by name."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.averaged is not self.model:
            averaged = self.averaged.state_dict().items()
            tensors |= {f"averaged.{name}": value for name, value in averaged}
        moments = self._optimizer.tensors()
        return tensors | {f"optimizer.{name}": value for name, value in moments}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `tensors` of an equal learner returned.

        Raises:
            KeyError: when one is missing.
            RuntimeError: when one does not fit.
        """
        self.model.load_state_dict(_part(tensors, "model."))
        if self.averaged is not self.model:
            self.averaged.load_state_dict(_part(tensors, "averaged."))
        self._optimizer.load(_part(tensors, "optimizer."))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
