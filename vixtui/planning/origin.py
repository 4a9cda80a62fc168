"""Fine-tuning: the weights that a run begins with instead of random ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vixtui.errors import UsageError, WeightsError
from vixtui.files import sha256_of
from vixtui.models.config import ModelConfig
from vixtui.planning.tuning import TUNABLE
from vixtui.planning.types import Task
from vixtui.presets import all_presets
from vixtui.runs.config import Init
from vixtui.runs.weights import ModelCard, check_weights

_WHERE = "--init"
# What new pictures, classes and regularisation change without any weight being another's.
_FREE = frozenset({"image_height", "image_width", "num_classes", "dropout", "drop_path"})
# A picture seen with another stride by the same convolutions.
_FREE_IN_STEMS = frozenset({"patch_size"})


@dataclass(frozen=True, slots=True)
class Origin:
    """A checked weights file to begin with."""

    path: Path
    card: ModelCard
    sha256: str

    @property
    def preset(self) -> str:
        """The preset it was trained from.

        Raises:
            UsageError: when this program has none of this name.
        """
        if self.card.title not in all_presets():
            raise UsageError(
                f"{self.path.name} is of a preset that is not known here",
                where=_WHERE,
                remedy="name the one of its shape with --preset",
            )
        return self.card.title

    @property
    def side(self) -> int | None:
        """Side in pixels of the pictures it was trained on, if they were square."""
        model = self.card.model
        return model.image_height if model.image_height == model.image_width else None

    def changes(self, preset_name: str, task: Task) -> tuple[str, ...]:
        """Return as ``NAME=VALUE`` in what its model departs from a preset's."""
        preset = all_presets().get(preset_name)
        if preset is None:
            return ()
        plain = preset.model_config(
            image_height=task.image_height,
            image_width=task.image_width,
            in_channels=task.in_channels,
            num_classes=task.num_classes,
        )
        return tuple(
            f"{name}={_toml(value)}"
            for name in TUNABLE
            if (value := getattr(self.card.model, name)) != getattr(plain, name)
        )

    def check(self, model: ModelConfig) -> None:
        """Make sure that the weights have a place in a model.

        Raises:
            WeightsError: naming what differs.
        """
        mine = self.card.model
        free = _FREE | (_FREE_IN_STEMS if mine.embedding in ("conv", "conv-pool") else frozenset())
        theirs = model.to_dict()
        for name, value in mine.to_dict().items():
            if name not in free and theirs[name] != value:
                raise WeightsError(
                    f"its model has {name} {value}, the new one {theirs[name]}",
                    where=self.path,
                    remedy="choose the --preset, --set and --image-size that it was trained with",
                )
        bound = mine.token_mixer in ("linformer", "mlp") or mine.positions == "attention-bias"
        if bound and mine.grid != model.grid:
            raise WeightsError(
                f"its weights belong to {_grid(mine)} tokens, these pictures have {_grid(model)}",
                where=self.path,
                remedy=f"give --image-size {mine.image_height}",
            )

    def record(self, classes: tuple[str, ...]) -> Init:
        """Return what a run writes down, so that it can be started and resumed.

        Args:
            classes: of the run.
        """
        return Init(
            file=str(self.path.resolve()),
            sha256=self.sha256,
            title=self.card.title,
            kept_classes=tuple(name for name in classes if name in self.card.classes),
            mean=self.card.preprocessing.mean,
            std=self.card.preprocessing.std,
        )

    def told(self, model: ModelConfig, classes: tuple[str, ...]) -> str:
        """Return in a line what a run takes over; not yet safe to show."""
        kept = [name for name in classes if name in self.card.classes]
        parts = [f"all but the head of {self.card.title}"]
        if self.card.model.positions == "learned" and self.card.model.grid != model.grid:
            parts.append(f"positions interpolated from {_grid(self.card.model)} tokens")
        named = f" ({', '.join(kept[:5])}{', …' if len(kept) > 5 else ''})" if kept else ""
        parts.append(f"{len(kept)} of {len(classes)} classes{named}")
        return "; ".join(parts)


def read_origin(path: Path) -> Origin:
    """Return a weights file to begin with, checked as for a prediction.

    Raises:
        UsageError: when there is no such file.
        WeightsError: when it cannot be trusted or understood.
    """
    card = check_weights(path)
    return Origin(path, card, sha256_of(path))


def _grid(model: ModelConfig) -> str:
    rows, columns = model.grid
    return f"{rows}×{columns}"


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
