"""A user may change what a preset is made of, but not into something that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from vixtui.errors import UsageError
from vixtui.planning.tuning import tune
from vixtui.planning.types import Candidate
from vixtui.presets import preset


def planned(name: str = "vin:small") -> Candidate:
    return Candidate(
        preset=name,
        title="A model",
        model=preset(name).model_config(
            image_height=32, image_width=32, in_channels=3, num_classes=10
        ),
        parameters=1,
        batch_size=64,
        micro_batch=64,
        peak_bytes=1,
        peak_basis="predicted",
        seconds_per_epoch=1.0,
        time_basis="predicted",
        accuracy=None,
        accuracy_basis="not measured",
        fits=True,
        reason="",
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
    assert getattr(tune(planned(), [text]).model, name) == value


def test_the_prediction_says_what_it_does_not_count() -> None:
    tuned = tune(planned(), ["dropout=0.1", "positions=rotary"])
    assert tuned.peak_basis == "predicted; without dropout=0.1, positions=rotary"
    assert tune(planned(), []) == planned()


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
        tune(planned(), [text])
    assert caught.value.where == "--set"
