"""A model description is checked before anything is built."""

from __future__ import annotations

from typing import Any

import pytest
from comparing import config

from vixtui.models.config import ModelConfig


def thousand(**changes: Any) -> ModelConfig:
    """Return a model of 1,024 tokens."""
    mixer = changes.pop("token_mixer", "softmax")
    return config(mixer, image_height=64, image_width=64, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dim": 10**9}, "embed_dim must be between"),
        ({"embed_dim": (16, 10**9), "depth": (1, 1), "num_heads": (2, 2)}, "must be between"),
        ({"image_height": 1024, "image_width": 1024, "patch_size": 1}, "tokens are more than"),
        ({"num_heads": 5}, "no multiple of num_heads"),
        ({"token_mixer": "magic"}, "token_mixer must be one of"),
        ({"depth": 2.5}, "must be a whole number"),
        ({"depth": True}, "must be a number"),
        ({"depth": ()}, "must be a number"),
        ({"depth": "2"}, "must be a whole number"),
        ({"dropout": "0.1"}, "must be a number"),
        ({"dropout": float("nan")}, "dropout must be between"),
        ({"share_kv": 1}, "must be true or false"),
        ({"depth": (1, 1)}, "same number of stages"),
        ({"depth": (1,) * 5, "embed_dim": (16,) * 5, "num_heads": (2,) * 5}, "at most 4"),
        ({"mlp_radio": 1.0}, "unknown model option: mlp_radio"),
        ({"embedding": "conv", "patch_size": 3}, "power of two"),
        ({"embedding": "conv-pool", "patch_size": 16, "stem_depth": 3}, "stem_depth ≥ 4"),
        ({"in_channels": 4}, "1 or 3"),
        ({"positions": "rotary", "embed_dim": 14}, "head_dim divisible by 2"),
        ({"positions": "rotary-2d", "embed_dim": 12}, "head_dim divisible by 4"),
        ({"token_mixer": "fourier", "positions": "rotary"}, "no queries and keys"),
        ({"token_mixer": "performer", "positions": "attention-bias"}, "no matrix of scores"),
        ({"token_mixer": "mlp", "pooling": "class"}, "no class token"),
        ({"token_mixer": "fourier-2d", "pooling": "class"}, "no place on the map"),
        ({"positions": "attention-bias", "pooling": "class"}, "no offset"),
        ({"token_mixer": "linformer", "projection": "conv"}, "a conv projection needs"),
        ({"key_stride": 2}, "key_stride needs a conv projection"),
        ({"token_mixer": "fourier", "downsampling": "attention"}, "by attention needs softmax"),
        ({"downsampling": "attention", "stage_stride": 1}, "stage_stride of 2 or more"),
    ],
)
def test_unreasonable_descriptions_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_dict({**config().to_dict(), **changes})


def test_missing_entries_are_refused() -> None:
    with pytest.raises(ValueError, match="incomplete"):
        ModelConfig.from_dict({"token_mixer": "softmax"})


@pytest.mark.parametrize(
    ("mixer", "name", "most", "reason"),
    [
        ("nystromformer", "landmarks", 128, "softmax attention takes less memory and time"),
        ("linformer", "projection_rank", 512, "softmax attention is as fast"),
        ("performer", "random_features", 1024, "softmax attention takes less memory and time"),
    ],
)
def test_more_than_pays_is_refused_with_the_reason(
    mixer: str, name: str, most: int, reason: str
) -> None:
    assert thousand(token_mixer=mixer, **{name: most}).num_tokens == 1024
    with pytest.raises(ValueError, match=f"at most {most}; .*{reason}"):
        thousand(token_mixer=mixer, **{name: most + 1})
    thousand(token_mixer="softmax", **{name: most + 1})  # nobody asks


@pytest.mark.parametrize("pooling", ["mean", "class"])
@pytest.mark.parametrize("name", ["landmarks", "projection_rank", "random_features"])
def test_a_share_is_one_of_the_tokens_rounded_down(name: str, pooling: str) -> None:
    described = thousand(**{name: 1 / 16}, pooling=pooling)
    assert described.num_tokens == (1025 if pooling == "class" else 1024)
    assert getattr(described.stages[0], name) == 64


def test_a_share_is_at_least_one() -> None:
    described = config("nystromformer", image_height=2, image_width=2, landmarks=1 / 8)
    assert described.stages[0].landmarks == 1


def test_every_stage_has_its_own_share() -> None:
    described = thousand(
        token_mixer="nystromformer", embed_dim=(16, 32), depth=(1, 1), num_heads=(2, 2),
        landmarks=1 / 8,
    )  # fmt: skip
    assert [stage.landmarks for stage in described.stages] == [128, 32]


def test_a_count_too_large_for_a_later_stage_is_refused() -> None:
    with pytest.raises(ValueError, match="64 landmarks for 256 tokens: at most 32"):
        thousand(
            token_mixer="nystromformer", embed_dim=(16, 32), depth=(1, 1), num_heads=(2, 2),
            landmarks=64,
        )  # fmt: skip


def test_without_a_number_performer_has_features_for_its_head_dim() -> None:
    assert config("performer", random_features=0, embed_dim=64).stages[0].random_features == 110


def test_stages_thin_out_rounding_up() -> None:
    described = config(embed_dim=(16, 32, 64), depth=(1, 2, 3), num_heads=(2, 2, 4))
    assert [(stage.rows, stage.columns) for stage in described.stages] == [(7, 5), (4, 3), (2, 2)]
    assert [stage.in_channels for stage in described.stages] == [3, 16, 32]
    assert [stage.head_dim for stage in described.stages] == [8, 16, 16]
