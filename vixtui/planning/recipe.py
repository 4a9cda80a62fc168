"""The recipe a run gets unless its user says otherwise."""

from __future__ import annotations

from typing import Any

from vixtui.data.builtin import is_builtin
from vixtui.data.sources import DataSource
from vixtui.runs.config import Recipe

_BUILT_IN_SECONDS = 45.0
_FOLDER_SECONDS = 300.0


def default_seconds(source: str) -> float:
    """Return the time limit of a training that is given none.

    Args:
        source: name of a built-in set, or a folder; folders get more.
    """
    return _BUILT_IN_SECONDS if is_builtin(source) else _FOLDER_SECONDS


def default_recipe(
    source: DataSource,
    *,
    epochs: int | None = None,
    seconds: float | None = None,
    **overrides: Any,
) -> Recipe:
    """Return a recipe for little data on a small machine.

    Args:
        source: the pictures; tiny ones are neither recoloured nor erased.
        epochs, seconds: the limit; without either, `default_seconds`.
        overrides: any other field of `Recipe`.
    """
    if epochs is None and seconds is None:
        seconds = default_seconds(source.source)
    if min(source.image_height, source.image_width) < 16:
        overrides = {"color_jitter": 0.0, "erase": 0.0} | overrides
    return Recipe(epochs=epochs, seconds=seconds, **overrides)
