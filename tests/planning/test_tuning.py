"""A user may change what a preset is made of, but not into something that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from vixtui.errors import UsageError
from vixtui.models.config import ModelConfig
from vixtui.planning.tuning import tuned
from vixtui.presets import preset


def small_vin() -> ModelConfig:
    return preset("vin:small").model_config(
        image_height=32, image_width=32, in_channels=3, num_classes=10
    )


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("landmarks=4", "landmarks", 4),
        ("landmarks=0.1", "landmarks", 0.1),
        ("pooling=class", "pooling", "class"),
        (' pooling = "class"', "pooling", "class"),
        ("stem_activation=false", "stem_activation", False),
        ("drop_path=1e-1", "drop_path", 0.1),
    ],
)
def test_an_option_is_a_number_a_truth_or_a_word(text: str, name: str, value: Any) -> None:
    assert getattr(tuned(small_vin(), [text]), name) == value


def test_without_a_wish_the_model_is_the_presets() -> None:
    assert tuned(small_vin(), []) == small_vin()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("landmarks=9", "9 landmarks for 64 tokens: at most 8"),
        ("landmarks=[4]", "landmarks must be a number"),
        ("pooling=median", "pooling must be one of mean, class, sequence, not median"),
        ("dropout=2", "dropout must be between 0 and 0.9"),
        ("positions=attention-bias", "no matrix of scores"),
        ("embed_dim=4096", "not an option of a model: embed_dim=4096"),
        ("dropout", "not an option of a model: dropout"),
        ("dropout=", "not an option of a model"),
        ("=0.1", "not an option of a model"),
        ("", "not an option of a model"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        tuned(small_vin(), [text])
    assert caught.value.where == "--set"
