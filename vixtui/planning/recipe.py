"""The recipe a run gets unless its user says otherwise."""

from __future__ import annotations

from typing import Any

from vixtui.data.builtin import is_builtin
from vixtui.data.sources import DataSource
from vixtui.runs.config import Recipe

DEFAULT_SECONDS = 45.0
_FOLDER_SECONDS = 300.0


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
        epochs, seconds: the limit; without either, `DEFAULT_SECONDS` for built-in pictures, five
            minutes for a folder.
        overrides: any other field of `Recipe`.
    """
    if epochs is None and seconds is None:
        seconds = DEFAULT_SECONDS if is_builtin(source.source) else _FOLDER_SECONDS
    if min(source.image_height, source.image_width) < 16:
        overrides = {"color_jitter": 0.0, "erase": 0.0} | overrides
    return Recipe(epochs=epochs, seconds=seconds, **overrides)
