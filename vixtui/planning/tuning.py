"""How a user departs from a preset: ``--set landmarks=0.1 --set pooling=class``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Any

from vixtui.errors import UsageError
from vixtui.models.config import ModelConfig

_WHERE = "--set"
# Fields of ModelConfig that neither size nor shape of the model depend on much.
TUNABLE = (
    "pooling",
    "positions",
    "landmarks",
    "projection_rank",
    "share_kv",
    "one_kv_head",
    "random_features",
    "stem_activation",
    "dropout",
    "drop_path",
)


def tuned(model: ModelConfig, changes: Iterable[str]) -> ModelConfig:
    """Return a model that differs from its preset's.

    Args:
        model: of a preset.
        changes: ``NAME=VALUE``, a field of `ModelConfig` and a TOML value or bare word.

    Raises:
        UsageError: for other fields, and for values that the model cannot have.
    """
    options = dict(_assignment(text) for text in changes)
    if not options:
        return model
    try:
        return ModelConfig.from_dict({**model.to_dict(), **options})
    except ValueError as error:
        raise UsageError(str(error), where=_WHERE, remedy="choose another value") from error


def _assignment(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    name = name.strip()
    if name not in TUNABLE or not value.strip():
        raise UsageError(
            f"not an option of a model: {text}",
            where=_WHERE,
            remedy=f"write NAME=VALUE with one of {', '.join(TUNABLE)}",
        )
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value.strip()
