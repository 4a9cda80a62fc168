"""A model description is checked before anything is built."""

from __future__ import annotations

import pytest

from vixtui.models.config import ModelConfig
from vixtui.presets import preset

GOOD = preset("vin:tiny").model_config(
    image_height=32, image_width=32, in_channels=3, num_classes=10
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dim": 10**9}, "embed_dim must be between"),
        ({"image_height": 1024, "image_width": 1024, "patch_size": 1}, "tokens are more than"),
        ({"num_heads": 5}, "no multiple of num_heads"),
        ({"token_mixer": "magic"}, "token_mixer must be one of"),
        ({"depth": 2.5}, "must be a whole number"),
        ({"depth": True}, "must be a number"),
        ({"mlp_radio": 1.0}, "unknown model option: mlp_radio"),
        ({"token_mixer": "fourier", "positions": "rotary"}, "no queries and keys"),
        ({"embedding": "conv", "patch_size": 3}, "power of two"),
        ({"in_channels": 4}, "1 or 3"),
    ],
)
def test_unreasonable_descriptions_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_dict({**GOOD.to_dict(), **changes})


def test_missing_entries_are_refused() -> None:
    with pytest.raises(ValueError, match="incomplete"):
        ModelConfig.from_dict({"token_mixer": "softmax"})
