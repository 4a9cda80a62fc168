"""The model around the mixers: stages, positions, dropout, stochastic depth."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from comparing import EXACT, config, normal, randomise, relative_error
from torch import Tensor, nn

from vixtui.models.blocks import Block, DropPath
from vixtui.models.config import ModelConfig, Recompute
from vixtui.models.vision_xformer import VisionXFormer, build

MIXERS = ("softmax", "nystromformer", "performer", "linformer", "fourier", "fourier-2d", "mlp")
STAGES = {"embed_dim": (16, 24), "depth": (1, 2), "num_heads": (2, 3)}


def pictures(described: ModelConfig) -> Tensor:
    return normal(2, described.in_channels, described.image_height, described.image_width).float()


def model_of(described: ModelConfig) -> VisionXFormer:
    torch.manual_seed(0)
    return build(described)


def drawing(module: nn.Module, *inputs: Any) -> bool:
    """Whether a module answers twice in different ways."""
    return not torch.equal(module(*inputs), module(*inputs))


@pytest.mark.parametrize("downsampling", ["conv", "attention"])
def test_each_stage_halves_the_map_rounding_up(downsampling: str) -> None:
    described = config("softmax", downsampling=downsampling, **STAGES)
    first, second = model_of(described).stages
    x = first(pictures(described))
    assert x.shape == (2, 16, 7, 5)
    assert second(x).shape == (2, 4 * 3, 24)


def test_the_mean_the_class_token_or_a_weighted_mean_is_classified() -> None:
    for pooling, pooled in (
        ("mean", lambda model, x: x.mean(1)),
        ("class", lambda model, x: x[:, 0]),
        ("sequence", lambda model, x: (model.sequence_pooling.score(x).softmax(1) * x).sum(1)),
    ):
        described = config("softmax", pooling=pooling)
        model = model_of(described)
        x = model.norm(model.stages[0](pictures(described)))
        wanted = model.head(pooled(model, x))
        torch.testing.assert_close(model(pictures(described)), wanted)


@pytest.mark.parametrize("recompute", ["none", "mlp", "block"])
@pytest.mark.parametrize("mixer", [name for name in MIXERS if name not in ("fourier-2d", "mlp")])
def test_of_the_last_block_only_the_class_token_is_computed(
    mixer: str, recompute: Recompute
) -> None:
    stage = config(mixer, pooling="class").stages[0]
    whole, last = (Block(stage, index, recompute).double() for index in range(2))
    randomise(whole)
    last.load_state_dict(whole.state_dict())
    x = normal(2, stage.num_tokens, stage.embed_dim)
    assert whole(x, None).shape == x.shape
    assert last(x, None).shape == (2, 1, stage.embed_dim)
    names = sorted(dict(whole.named_parameters()))
    x.requires_grad_()
    results = [block(x, None)[:, :1] for block in (last, whole)]
    assert relative_error(*results) <= EXACT
    direction = normal(*results[0].shape, seed=2)
    gradients = [
        torch.autograd.grad(result, (x, *map(block.get_parameter, names)), direction)
        for result, block in zip(results, (last, whole), strict=True)
    ]
    for ours, theirs in zip(*gradients, strict=True):
        assert relative_error(ours, theirs) <= EXACT


def test_learned_positions_tell_tokens_apart_and_none_do_not() -> None:
    for positions, order_matters in (("learned", True), ("none", False), ("rotary", True)):
        described = config("softmax", positions=positions, patch_size=1, image_height=4)
        model = model_of(described)
        images = pictures(described)
        turned = model(images.flip(2, 3))  # patches of one pixel: the same tokens, turned around
        assert torch.allclose(turned, model(images), atol=1e-5) != order_matters


@pytest.mark.parametrize("positions", ["learned", "rotary", "rotary-2d", "attention-bias"])
def test_positions_reach_every_stage(positions: str) -> None:
    described = config("softmax", positions=positions, **STAGES)
    for stage in model_of(described).stages:
        has = {
            "learned": stage.positions is not None,
            "rotary": stage.rotations is not None,
            "rotary-2d": stage.rotations is not None,
            "attention-bias": stage.blocks[0].mixer.bias is not None
            if hasattr(stage.blocks[0].mixer, "bias")
            else False,
        }
        assert has[positions]


# Dropout


@pytest.mark.parametrize("mixer", MIXERS)
def test_without_dropout_nothing_is_drawn(mixer: str) -> None:
    described = config(mixer)
    assert not drawing(model_of(described).train(), pictures(described))


@pytest.mark.parametrize("mixer", MIXERS)
def test_evaluation_draws_nothing(mixer: str) -> None:
    described = config(mixer, dropout=0.5, drop_path=0.5)
    assert not drawing(model_of(described).eval(), pictures(described))


def only_dropout_in(model: nn.Module, places: list[nn.Module]) -> None:
    """Put the whole model in evaluation mode but for these modules themselves."""
    model.eval()
    for place in places:
        place.training = True


@pytest.mark.parametrize("mixer", MIXERS)
def test_dropout_reaches_the_embedding_and_the_mlp_twice(mixer: str) -> None:
    described = config(mixer, dropout=0.5)
    model = model_of(described)
    block, x = model.stages[0].blocks[0], normal(2, 35, 16).float()
    only_dropout_in(model, [model.stages[0].dropout])
    assert drawing(model, pictures(described))
    only_dropout_in(model, [block.mlp, block.mlp.dropout])
    assert not drawing(block.mixer, x, None)
    assert drawing(block.mlp, x)
    calls: list[torch.Size] = []
    block.mlp.dropout.register_forward_hook(lambda _, __, out: calls.append(out.shape))
    block.mlp(x)
    assert calls == [(2, 35, 32), (2, 35, 16)]


@pytest.mark.parametrize("projection", ["linear", "conv"])
@pytest.mark.parametrize("mixer", ["softmax", "nystromformer", "performer", "linformer"])
def test_dropout_reaches_attention_and_its_output(mixer: str, projection: str) -> None:
    projection = "linear" if mixer == "linformer" else projection  # it has no other
    mixing = model_of(config(mixer, dropout=0.5, projection=projection)).stages[0].blocks[0].mixer
    merge = mixing.merge if mixer == "linformer" else mixing.heads.merge
    x = normal(2, 35, 16).float()
    only_dropout_in(mixing, [merge.dropout])
    assert drawing(mixing, x, None)
    # Attention itself: the mixer that asks its own mode, or Performer's dropout of the values.
    only_dropout_in(mixing, [mixing.dropout if mixer == "performer" else mixing])
    assert drawing(mixing, x, None)


@pytest.mark.parametrize("mixer", ["softmax", "nystromformer", "performer"])
def test_dropout_reaches_attention_between_stages(mixer: str) -> None:
    described = config(mixer, dropout=0.5, downsampling="attention", landmarks=1 / 8, **STAGES)
    shrinking = model_of(described).stages[1].embedding
    x = normal(2, 16, 7, 5).float()
    assert drawing(shrinking.train(), x)
    assert not drawing(shrinking.eval(), x)


@pytest.mark.parametrize("mixer", ["fourier", "fourier-2d", "mlp"])
def test_dropout_reaches_the_other_mixers(mixer: str) -> None:
    mixing = model_of(config(mixer, dropout=0.5)).stages[0].blocks[0].mixer
    x = normal(2, 35, 16).float()
    places = [place for place in mixing.modules() if isinstance(place, nn.Dropout)]
    assert len(places) == (2 if mixer == "mlp" else 1)
    for place in places:
        only_dropout_in(mixing, [place])
        assert drawing(mixing, x, None)


@pytest.mark.parametrize("mixer", ["softmax", "nystromformer", "performer", "linformer"])
def test_dropout_keeps_the_expected_value_of_attention(mixer: str) -> None:
    described = config(mixer, dropout=0.2, landmarks=1)
    mixing = model_of(described).stages[0].blocks[0].mixer.train()
    x = normal(1, 35, 16).float()
    mean = mixing(x.expand(4000, -1, -1), None).mean(0)
    wanted = mixing.eval()(x, None)[0]
    assert (mean - wanted).norm() <= 0.08 * wanted.norm()


# Stochastic depth


def test_stochastic_depth_keeps_the_expected_value() -> None:
    torch.manual_seed(0)
    dropped = DropPath(0.3)(torch.ones(20_000, 1, 1))
    assert sorted(dropped.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


def test_stochastic_depth_rises_through_all_stages() -> None:
    model = model_of(config("softmax", drop_path=0.2, **STAGES))
    found = [block.drop_path.probability for stage in model.stages for block in stage.blocks]
    assert found == pytest.approx([0, 0.1, 0.2])


def test_a_single_block_has_no_stochastic_depth() -> None:
    model = model_of(config("softmax", drop_path=0.2, depth=1))
    assert model.stages[0].blocks[0].drop_path.probability == 0
