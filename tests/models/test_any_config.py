"""Whatever description is accepted makes a model that works; the others are refused in words."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, get_args

import torch
from comparing import EXACT, relative_error
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vixtui.models import config as options
from vixtui.models.config import ModelConfig
from vixtui.models.vision_xformer import build

SIDES = st.integers(1, 40)


def per_stage(stages: int, values: list[int]) -> st.SearchStrategy[Any]:
    one = st.sampled_from(values)
    return one if stages == 1 else st.tuples(*[one] * stages)


@st.composite
def descriptions(draw: st.DrawFn) -> dict[str, Any]:
    """Every option, most of the time not at odds with each other."""

    def pick(*values: Any) -> Any:
        return draw(st.sampled_from(values))

    stages = pick(1, 1, 2, 3)
    mixer = pick(*get_args(options.TokenMixer))
    with_heads = mixer in ("softmax", "nystromformer", "performer")
    rotary = ["rotary", "rotary-2d"] * (mixer in options.ATTENTION_MIXERS)
    positions = pick("learned", "none", *rotary, *["attention-bias"] * (mixer == "softmax"))
    classless = stages > 1 or mixer in ("mlp", "fourier-2d") or positions == "attention-bias"
    pooling = pick("mean", "sequence", *["class"] * (not classless))
    conv = with_heads and pooling != "class" and draw(st.booleans())
    coarse = conv and mixer != "nystromformer" and positions in ("learned", "none")
    embedding = pick(*get_args(options.Embedding))
    downsampling = pick("conv", *["attention"] * with_heads)
    return {
        "token_mixer": mixer,
        "embedding": embedding,
        "positions": positions,
        "pooling": pooling,
        "projection": "conv" if conv else "linear",
        "downsampling": downsampling,
        "image_height": draw(SIDES),
        "image_width": draw(SIDES),
        "in_channels": pick(1, 3),
        "num_classes": draw(st.integers(2, 7)),
        "patch_size": pick(2, 4, 8, *[3, 5] * (embedding in ("linear", "overlapping"))),
        "embed_dim": draw(per_stage(stages, [12, 24])),
        "depth": draw(per_stage(stages, [1, 2])),
        "num_heads": draw(per_stage(stages, [1, 3])),
        "mlp_ratio": pick(0.25, 1.0, 2.5),
        "stage_stride": pick(2, 3, 4, *[1] * (downsampling == "conv")),
        "stem_depth": pick(3, 4),
        "stem_activation": draw(st.booleans()),
        "key_stride": pick(1, 2, 3) if coarse else 1,
        "landmarks": pick(1 / 8, 1 / 50, 1),
        "projection_rank": pick(1 / 4, 1 / 2, 1),
        "share_kv": draw(st.booleans()),
        "one_kv_head": draw(st.booleans()),
        "random_features": pick(0, 1 / 4, 1, 17),
        "dropout": pick(0.0, 0.5),
        "drop_path": pick(0.0, 0.5),
    }


def accepted(values: dict[str, Any]) -> ModelConfig | None:
    try:
        return ModelConfig(**values)
    except ValueError:  # nothing else
        return None


def worded(error: ValueError) -> None:
    assert str(error)


def pictures(config: ModelConfig, count: int = 2) -> torch.Tensor:
    return torch.randn(count, config.in_channels, config.image_height, config.image_width)


@settings(max_examples=120, deadline=None)
@given(values=descriptions())
def test_any_accepted_description_trains_and_answers(values: dict[str, Any]) -> None:
    config = accepted(values)
    assume(config is not None)
    model = build(config)
    logits = model(pictures(config))
    assert logits.shape == (2, config.num_classes)
    assert logits.isfinite().all()
    logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@settings(max_examples=60, deadline=None)
@given(values=descriptions())
def test_a_picture_is_answered_alone_as_in_any_batch(values: dict[str, Any]) -> None:
    config = accepted(values)
    assume(config is not None)
    model = build(config).double().eval()
    images = pictures(config, 3).double()
    images[1:] *= 10
    assert relative_error(model(images)[:1], model(images[:1])) <= EXACT


@settings(max_examples=60, deadline=None)
@given(values=descriptions())
def test_zeros_at_the_right_and_bottom_change_nothing(values: dict[str, Any]) -> None:
    values |= {"embedding": "linear"}
    side = values["patch_size"]
    whole = {name: -(-values[name] // side) * side for name in ("image_height", "image_width")}
    config, padded = accepted(values), accepted(values | whole)
    assume(config is not None)
    assert padded is not None
    torch.manual_seed(0)
    model = build(config).eval()
    torch.manual_seed(0)
    larger = build(padded).eval()
    images = pictures(config)
    around = torch.zeros(2, config.in_channels, padded.image_height, padded.image_width)
    around[:, :, : config.image_height, : config.image_width] = images
    assert torch.equal(model(images), larger(around))


@given(values=descriptions())
@settings(max_examples=100, deadline=None)
def test_a_description_survives_json(values: dict[str, Any]) -> None:
    config = accepted(values)
    assume(config is not None)
    assert ModelConfig.from_dict(config.to_dict()) == config
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9),
    st.lists(st.one_of(st.integers(), st.floats(), st.text(max_size=3), st.none()), max_size=5),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@given(
    values=descriptions(),
    name=st.one_of(st.sampled_from([field.name for field in fields(ModelConfig)]), st.text()),
    value=ANYTHING,
)
@settings(max_examples=300, deadline=None)
def test_rubbish_is_refused_with_a_value_error(
    values: dict[str, Any], name: str, value: Any
) -> None:
    try:
        config = ModelConfig.from_dict(values | {name: value})
    except ValueError as error:
        worded(error)
    else:
        assert ModelConfig.from_dict(config.to_dict()) == config
