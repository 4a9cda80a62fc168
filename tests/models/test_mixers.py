"""Every mixer equals the formula of its paper: result, gradient of the input and of each weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import textbook
import torch
from comparing import EXACT, SINGLE, assert_same, config, normal, randomise, relative_error
from torch import Tensor

from vixtui.models.config import ATTENTION_MIXERS, StageConfig
from vixtui.models.mixers import build_mixer

HEADS_MIXERS = ("softmax", "nystromformer", "performer")


def descriptions() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mixer with everything that may be combined with it."""
    for mixer in sorted(ATTENTION_MIXERS):
        for positions in ("none", "rotary", "rotary-2d"):
            for pooling in ("mean", "class"):
                yield mixer, {"positions": positions, "pooling": pooling}
        yield mixer, {"embed_dim": 20, "num_heads": 5, "image_height": 79, "image_width": 1}
    for positions in ("none", "rotary", "rotary-2d"):
        yield "linformer", {"share_kv": True, "positions": positions}
        yield "linformer", {"one_kv_head": True, "positions": positions}
        yield "linformer", {"share_kv": True, "one_kv_head": True, "positions": positions}
        for mixer in HEADS_MIXERS:
            yield mixer, {"projection": "conv", "positions": positions}
            yield mixer, {"query_stride": 2, "positions": positions}
        yield "performer", {"keep_features": True, "positions": positions}
    # The map of the keys, one head narrow, comes before the projection along the tokens.
    yield "linformer", {"one_kv_head": True, "num_heads": 8, "projection_rank": 17}
    for mixer in ("softmax", "performer"):
        yield mixer, {"projection": "conv", "key_stride": 2}
        yield mixer, {"projection": "conv", "key_stride": 3}
    for mixer in HEADS_MIXERS:
        yield mixer, {"query_stride": 3}
    # Six queries for eight landmarks.
    yield (
        "nystromformer",
        {"query_stride": 4, "image_height": 20, "image_width": 16, "landmarks": 8},
    )
    yield "softmax", {"positions": "attention-bias"}
    yield "softmax", {"positions": "attention-bias", "projection": "conv"}
    yield "softmax", {"positions": "attention-bias", "query_stride": 2}
    yield "performer", {"keep_features": True, "query_stride": 2}
    yield "performer", {"keep_features": True, "projection": "conv", "key_stride": 2}
    for mixer in ("fourier", "fourier-2d", "mlp"):
        yield mixer, {}
        yield mixer, {"embed_dim": 15, "num_heads": 1, "image_height": 8, "image_width": 12}
    yield "fourier", {"pooling": "class"}


CASES = [
    pytest.param(mixer, options, id="-".join([mixer, *(f"{k}={v}" for k, v in options.items())]))
    for mixer, options in descriptions()
]


def build(mixer: str, options: dict[str, Any]) -> tuple[torch.nn.Module, StageConfig, int]:
    """Return a mixer with random weights, its stage and its query stride."""
    options = dict(options)
    stride, keep = options.pop("query_stride", 1), options.pop("keep_features", False)
    stage = config(mixer, **options).stages[0]
    # Between two stages the width of the tokens differs from that of the heads.
    stage = replace(stage, in_channels=12 if stride > 1 else stage.embed_dim)
    module = build_mixer(stage, **({"query_stride": stride} if stride > 1 else {}))
    randomise(module)
    if keep:
        module.keep_features = True
    return module, stage, stride


def table(stage: StageConfig) -> Tensor | None:
    turns = textbook.rotations(stage)
    return None if turns is None else torch.view_as_real(turns)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_mixer_equals_the_formula_with_every_gradient(name: str, options: dict[str, Any]) -> None:
    mixer, stage, stride = build(name, options)
    mixer.double()
    turns = table(stage)
    assert_same(
        lambda x: mixer(x, turns),
        lambda x: textbook.mixed(mixer, stage, x, stride),
        normal(3, stage.num_tokens, stage.in_channels),
        list(mixer.parameters()),
        EXACT,
    )


@pytest.mark.parametrize(("name", "options"), CASES)
def test_in_single_precision_too(name: str, options: dict[str, Any]) -> None:
    mixer, stage, stride = build(name, options)
    turns = table(stage)
    exact = build_like(mixer, name, options)
    x, direction = normal(3, stage.num_tokens, stage.in_channels), None
    gradients = []
    for module, dtype in ((mixer, torch.float32), (exact, torch.float64)):
        inputs = x.to(dtype).requires_grad_()
        if module is exact:
            result = textbook.mixed(module, stage, inputs, stride)
        else:
            result = module(inputs, None if turns is None else turns.float())
        direction = normal(*result.shape, seed=2)
        wanted = (inputs, *module.parameters())
        gradients.append((result, *torch.autograd.grad(result, wanted, direction.to(dtype))))
    for got, expected in zip(*gradients, strict=True):
        assert got.dtype == torch.float32
        assert relative_error(got, expected) <= SINGLE


def build_like(mixer: torch.nn.Module, name: str, options: dict[str, Any]) -> torch.nn.Module:
    """Return the same mixer in double precision."""
    copy, *_ = build(name, options)
    copy.load_state_dict(mixer.state_dict())
    return copy.double()


@pytest.mark.parametrize(("name", "options"), CASES)
def test_under_bfloat16_autocast_a_mixer_stays_near(name: str, options: dict[str, Any]) -> None:
    mixer, stage, _ = build(name, options)
    turns = table(stage)
    x = normal(2, stage.num_tokens, stage.in_channels).float()
    exact = mixer(x, None if turns is None else turns.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = mixer(x, None if turns is None else turns.float())
    assert (rounded.float() - exact).norm() <= 0.05 * exact.norm()
