"""The recipe a run gets unless its user says otherwise."""

from __future__ import annotations

from math import sqrt
from types import MappingProxyType
from typing import Any

from vixtui.data.builtin import is_builtin
from vixtui.data.sources import DataSource
from vixtui.errors import UsageError
from vixtui.models.config import ModelConfig
from vixtui.runs.config import Augmentation, Recipe

_BUILT_IN_SECONDS = 45.0
_FOLDER_SECONDS = 300.0
_LEVELS: MappingProxyType[Augmentation, dict[str, float]] = MappingProxyType(
    {
        "off": {
            "crop": 0.0, "color_jitter": 0.0, "erase": 0.0,
            "trivial": 0.0, "mixup": 0.0, "cutmix": 0.0,
        },
        "light": {"cutmix": 0.5},
        "strong": {"color_jitter": 0.0, "trivial": 1.0, "mixup": 0.2, "cutmix": 0.5},
    }
)  # fmt: skip
# From here on a model of ours sees each picture so often that it would learn it by heart.
_LONG_SECONDS, _LONG_EPOCHS = 3600.0, 100
_SMALLEST_STRONG_SIDE, _SMALLEST_COLOURED_SIDE = 32, 16
# Of 2,000 CIFAR-10 pictures, CutMix took 1.5 points of top-1 from 28 epochs, mean of 3 seeds.
_FEWEST_MIXED_EPOCHS = 40
# Of models this wide and deep; those with less of both together learn at no higher one.
_LARGEST_LR, _ITS_WIDTH, _ITS_DEPTH = 3e-3, 128, 2


def default_seconds(source: str) -> float:
    """Return the time limit of a training that is given none.

    Args:
        source: name of a built-in set, or a folder; folders get more.
    """
    return _BUILT_IN_SECONDS if is_builtin(source) else _FOLDER_SECONDS


def suggested_augmentation(side: int, *, epochs: int | None, seconds: float | None) -> Augmentation:
    """Return how strongly to change pictures when nobody says.

    Strong from 32 pixels a `side` and 100 epochs or an hour; light below, since little is learned
    of much altered pictures in a short time.
    """
    long = (epochs or 0) >= _LONG_EPOCHS or (seconds or 0) >= _LONG_SECONDS
    return "strong" if long and side >= _SMALLEST_STRONG_SIDE else "light"


def suggested_lr(model: ModelConfig) -> float:
    """Return the peak learning rate for a model when nobody says.

    That of AdamW falls with the width (Yang et al. 2021, arXiv 2203.03466, table 3), and with the
    root of the depth (Yang et al. 2023, arXiv 2310.02244, section 4). Of 2,000 CIFAR-10 pictures,
    Hybrid FNet tiny, 128 wide and 2 deep, learned more at 3e-3 than at 2e-3 (55.7 and 54.8 % of
    top-1 after 17 epochs); Hybrid ViT small, 192 wide and 4 deep, the less, the higher the rate
    (42.7, 41.8, 39.0 and 34.3 % at 1, 1.4, 2 and 3e-3 after 5 epochs).
    """
    narrower = _ITS_WIDTH / model.stages[-1].embed_dim
    flatter = sqrt(_ITS_DEPTH / model.num_blocks)
    return float(f"{_LARGEST_LR * min(1.0, narrower * flatter):.1e}")


def default_recipe(
    source: DataSource,
    *,
    epochs: int | None = None,
    seconds: float | None = None,
    augmentation: Augmentation | None = None,
    **overrides: Any,
) -> Recipe:
    """Return a recipe for little data on a small machine.

    Args:
        source: the pictures; tiny ones are only shifted and mirrored.
        epochs, seconds: the limit; without either, `default_seconds`.
        augmentation: a level, whole, however few the epochs; else `suggested_augmentation`, without
            its mixing where there are a few.
        overrides: any other field of `Recipe`; with `mixup` or `cutmix`, a few epochs mix, too.

    Raises:
        UsageError: when mixup and cutmix together are more than 1.
    """
    if epochs is None and seconds is None:
        seconds = default_seconds(source.source)
    side = min(source.image_height, source.image_width)
    level = augmentation or suggested_augmentation(side, epochs=epochs, seconds=seconds)
    amounts: dict[str, Any] = dict(_LEVELS[level])
    if augmentation is None and not (overrides.get("mixup") or overrides.get("cutmix")):
        amounts["fewest_mixed_epochs"] = _FEWEST_MIXED_EPOCHS
    if level == "light" and side < _SMALLEST_COLOURED_SIDE:
        amounts |= {"color_jitter": 0.0, "erase": 0.0, "cutmix": 0.0}
    chosen = amounts | overrides
    if chosen.get("mixup", 0.0) + chosen.get("cutmix", 0.0) > 1:
        raise UsageError(
            "more pictures would be mixed than there are",
            where="--mixup, --cutmix",
            remedy="give shares that add up to at most 1",
        )
    return Recipe(epochs=epochs, seconds=seconds, **chosen)
