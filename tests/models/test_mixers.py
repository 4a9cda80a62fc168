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
OF_MIXERS = ("query_stride", "only_class_token")
"""Options of a mixer itself, not of the model."""


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
        for mixer in sorted(ATTENTION_MIXERS):
            yield mixer, {"only_class_token": True, "positions": positions}
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
    yield "fourier", {"only_class_token": True}
    yield "performer", {"only_class_token": True, "keep_features": True}
    # Fewer tokens than taps after the first.
    yield (
        "nystromformer",
        {"only_class_token": True, "image_height": 8, "image_width": 8, "landmarks": 1},
    )


CASES = [
    pytest.param(mixer, options, id="-".join([mixer, *(f"{k}={v}" for k, v in options.items())]))
    for mixer, options in descriptions()
]


def build(mixer: str, options: dict[str, Any]) -> tuple[torch.nn.Module, StageConfig]:
    """Return a mixer with random weights, and its stage."""
    options = dict(options)
    keep = options.pop("keep_features", False)
    own = {name: options.pop(name) for name in OF_MIXERS if name in options}
    if "only_class_token" in own:
        options["pooling"] = "class"
    stage = config(mixer, **options).stages[0]
    # Between two stages the width of the tokens differs from that of the heads.
    stage = replace(stage, in_channels=12 if "query_stride" in own else stage.embed_dim)
    module = build_mixer(stage, **own)
    randomise(module)
    if keep:
        module.keep_features = True
    return module, stage


def formula(
    mixer: torch.nn.Module, stage: StageConfig, options: dict[str, Any], x: Tensor
) -> Tensor:
    """Return what the formula gives."""
    mixed = textbook.mixed(mixer, stage, x, options.get("query_stride", 1))
    return mixed[:, :1] if options.get("only_class_token") else mixed


def table(stage: StageConfig) -> Tensor | None:
    turns = textbook.rotations(stage)
    return None if turns is None else torch.view_as_real(turns)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_mixer_equals_the_formula_with_every_gradient(name: str, options: dict[str, Any]) -> None:
    mixer, stage = build(name, options)
    mixer.double()
    turns = table(stage)
    assert_same(
        lambda x: mixer(x, turns),
        lambda x: formula(mixer, stage, options, x),
        normal(3, stage.num_tokens, stage.in_channels),
        list(mixer.parameters()),
        EXACT,
    )


@pytest.mark.parametrize(("name", "options"), CASES)
def test_in_single_precision_too(name: str, options: dict[str, Any]) -> None:
    mixer, stage = build(name, options)
    turns = table(stage)
    exact = build_like(mixer, name, options)
    x, direction = normal(3, stage.num_tokens, stage.in_channels), None
    gradients = []
    for module, dtype in ((mixer, torch.float32), (exact, torch.float64)):
        inputs = x.to(dtype).requires_grad_()
        if module is exact:
            result = formula(module, stage, options, inputs)
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
    copy, _ = build(name, options)
    copy.load_state_dict(mixer.state_dict())
    return copy.double()


@pytest.mark.parametrize(("name", "options"), CASES)
def test_under_bfloat16_autocast_a_mixer_stays_near(name: str, options: dict[str, Any]) -> None:
    mixer, stage = build(name, options)
    turns = table(stage)
    x = normal(2, stage.num_tokens, stage.in_channels).float()
    exact = mixer(x, None if turns is None else turns.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = mixer(x, None if turns is None else turns.float())
    assert (rounded.float() - exact).norm() <= 0.05 * exact.norm()
