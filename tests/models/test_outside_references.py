"""Mixers and embeddings equal those of the packages that others use, run with our weights."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from comparing import EXACT, assert_same, config, normal, randomise, relative_error, rotate
from outside import package, run_with, without_epsilon
from torch import Tensor, nn

from vixtui.models.config import StageConfig
from vixtui.models.embedding import build_embedding
from vixtui.models.mixers import build_mixer
from vixtui.models.mixers.fourier import real_fourier
from vixtui.models.positions import rotations


def mixer_and_stage(name: str, query_stride: int = 1, **changes: Any) -> tuple[Any, StageConfig]:
    stage = replace(config(name, **changes).stages[0], in_channels=16)
    options = {"query_stride": query_stride} if query_stride > 1 else {}
    mixer = build_mixer(stage, **options).double()
    randomise(mixer)
    return mixer, stage


def tokens_of(stage: StageConfig, batch: int = 3) -> Tensor:
    return normal(batch, stage.num_tokens, stage.embed_dim)


def image_of(x: Tensor, stage: StageConfig) -> Tensor:
    """(b, n, d) → (b, d, rows, columns)."""
    return x.transpose(1, 2).unflatten(2, (stage.rows, stage.columns))


def without_normalisation(module: nn.Module) -> nn.Module:
    """Turn every batch norm into the identity: LeViT and CvT have them where we have none."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.eps = 0.0
    return module.eval()


# Softmax attention


@pytest.mark.parametrize("pooling", ["mean", "class"])
def test_softmax_equals_vit_pytorch(pooling: str) -> None:
    vit = package("vit_pytorch.vit")
    mixer, stage = mixer_and_stage("softmax", pooling=pooling)
    theirs = vit.Attention(16, heads=2, dim_head=8)
    theirs.norm = nn.Identity()  # ours is in the block
    weights = {
        "to_qkv.weight": mixer.heads.to_qkv.weight,
        "to_out.0.weight": mixer.heads.merge.to_output.weight,
        "to_out.0.bias": mixer.heads.merge.to_output.bias,
    }
    assert_same(
        lambda x: mixer(x, None),
        partial(run_with, theirs, weights),
        tokens_of(stage),
        list(mixer.parameters()),
        EXACT,
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_a_conv_projection_equals_the_cvt_of_vit_pytorch(stride: int) -> None:
    cvt = package("vit_pytorch.cvt")
    mixer, stage = mixer_and_stage("softmax", projection="conv", key_stride=stride)
    heads = mixer.heads
    heads.convolutions[2] = heads.convolutions[1]  # there keys and values share theirs
    theirs = cvt.Attention(16, proj_kernel=3, kv_proj_stride=stride, heads=2, dim_head=8)
    theirs.norm = nn.Identity()
    without_normalisation(theirs)
    one = {"weight": torch.ones(16).double(), "bias": torch.zeros(16).double()}
    weights = {
        "to_q.net.0.weight": heads.convolutions[0].weight,
        "to_q.net.2.weight": heads.maps[0].weight[..., None, None],
        "to_kv.net.0.weight": heads.convolutions[1].weight,
        "to_kv.net.2.weight": torch.cat((heads.maps[1].weight, heads.maps[2].weight))[
            ..., None, None
        ],
        "to_out.0.weight": heads.merge.to_output.weight[..., None, None],
        "to_out.0.bias": heads.merge.to_output.bias,
    }
    weights |= {f"{name}.net.1.{key}": one[key] for name in ("to_q", "to_kv") for key in one}
    assert_same(
        lambda x: mixer(x, None),
        lambda x: run_with(theirs, weights, image_of(x, stage)).flatten(2).transpose(1, 2),
        tokens_of(stage),
        list(mixer.parameters()),
        EXACT,
    )


def test_an_attention_bias_equals_the_levit_of_timm() -> None:
    levit = package("timm.models.levit")
    mixer, stage = mixer_and_stage("softmax", positions="attention-bias")
    theirs = levit.Attention(
        16, key_dim=8, num_heads=2, attn_ratio=1.0, resolution=(7, 5), act_layer=nn.Identity
    )
    without_normalisation(theirs)
    ours = mixer.heads.to_qkv.weight.unflatten(0, (3, 2, 8))
    weights = {
        "attention_biases": mixer.bias.weight,
        "qkv.linear.weight": ours.transpose(0, 1).flatten(0, 2),  # there heads come first
        "qkv.bn.weight": torch.ones(48).double(),
        "qkv.bn.bias": torch.zeros(48).double(),
        **output_of_levit(mixer),
    }
    assert_same(
        lambda x: mixer(x, None),
        partial(run_with, theirs, weights),
        tokens_of(stage),
        list(mixer.parameters()),
        EXACT,
    )


def test_fewer_queries_equal_the_levit_of_timm() -> None:
    levit = package("timm.models.levit")
    mixer, stage = mixer_and_stage("softmax", query_stride=2, positions="attention-bias")
    theirs = levit.AttentionDownsample(
        16, 16, key_dim=8, num_heads=2, attn_ratio=1.0, resolution=(7, 5), act_layer=nn.Identity
    )
    without_normalisation(theirs)
    kv = mixer.heads.to_kv.weight.unflatten(0, (2, 2, 8)).transpose(0, 1).flatten(0, 2)
    weights = {
        "attention_biases": mixer.bias.weight,
        "kv.linear.weight": kv,
        "q.ln.linear.weight": mixer.heads.to_q.weight,
        **output_of_levit(mixer),
    }
    for name, width in (("kv", 32), ("q.ln", 16)):
        weights[f"{name}.bn.weight"] = torch.ones(width).double()
        weights[f"{name}.bn.bias"] = torch.zeros(width).double()
    assert_same(
        lambda x: mixer(x, None),
        partial(run_with, theirs, weights),
        tokens_of(stage),
        list(mixer.parameters()),
        EXACT,
    )


def output_of_levit(mixer: Any) -> dict[str, Tensor]:
    """LeViT's output map has no bias; its batch norm has."""
    output = mixer.heads.merge.to_output
    return {
        "proj.ln.linear.weight": output.weight,
        "proj.ln.bn.weight": torch.ones(16).double(),
        "proj.ln.bn.bias": output.bias,
    }


# Approximations


@pytest.mark.parametrize("name", ["nystrom_attention", "vision_xformer.vision_nystromformer"])
def test_nystromformer_equals_its_package(name: str) -> None:
    # Theirs starts the pseudo-inverse from a maximum over all pictures and heads: one of each here.
    # It pads in front to whole segments: here four segments of ten tokens.
    theirs_module = package(name)
    mixer, stage = mixer_and_stage("nystromformer", num_heads=1, image_height=16)
    assert stage.num_tokens == 40
    theirs = theirs_module.NystromAttention(16, dim_head=16, heads=1, num_landmarks=4)
    weights = {
        "to_qkv.weight": mixer.heads.to_qkv.weight,
        "to_out.0.weight": mixer.heads.merge.to_output.weight,
        "to_out.0.bias": mixer.heads.merge.to_output.bias,
        "res_conv.weight": mixer.residual[:, None, :, None],
    }
    assert_same(
        lambda x: mixer(x, None),
        partial(run_with, theirs, weights),
        tokens_of(stage, batch=1),
        list(mixer.parameters()),
        EXACT,
    )


@pytest.mark.parametrize("keep_features", [False, True])
@pytest.mark.parametrize("name", ["performer_pytorch", "vision_xformer.vision_performer"])
def test_performer_equals_its_package(
    name: str, keep_features: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_epsilon(monkeypatch)
    mixer, stage = mixer_and_stage("performer", pooling="class")
    mixer.keep_features = keep_features
    theirs = package(name).SelfAttention(16, heads=2, dim_head=8, nb_features=12)
    q, k, v = mixer.heads.to_qkv.weight.chunk(3)
    weights = {
        "fast_attention.projection_matrix": mixer.projection,
        "to_q.weight": q,
        "to_k.weight": k,
        "to_v.weight": v,
        "to_out.weight": mixer.heads.merge.to_output.weight,
        "to_out.bias": mixer.heads.merge.to_output.bias,
    }
    assert_same(
        lambda x: mixer(x, None),
        partial(run_with, theirs, weights),
        tokens_of(stage),
        list(mixer.parameters()),
        EXACT,
    )


@pytest.mark.parametrize("share_kv", [False, True])
@pytest.mark.parametrize("one_kv_head", [False, True])
@pytest.mark.parametrize("name", ["linformer", "vision_xformer.vision_linformer"])
def test_linformer_equals_its_package(name: str, share_kv: bool, one_kv_head: bool) -> None:
    mixer, stage = mixer_and_stage("linformer", share_kv=share_kv, one_kv_head=one_kv_head)
    theirs = package(name).LinformerSelfAttention(
        16, stage.num_tokens, k=6, heads=2, share_kv=share_kv, one_kv_head=one_kv_head
    )
    weights = {
        "to_q.weight": mixer.to_q.weight,
        "to_k.weight": mixer.to_k.weight,
        "proj_k": mixer.project_keys.T,
        "to_out.weight": mixer.merge.to_output.weight,
        "to_out.bias": mixer.merge.to_output.bias,
    }
    if not share_kv:
        weights |= {"to_v.weight": mixer.to_v.weight, "proj_v": mixer.project_values.T}
    assert_same(
        lambda x: mixer(x, None),
        partial(run_with, theirs, weights),
        tokens_of(stage),
        list(mixer.parameters()),
        EXACT,
    )


# Fourier transforms and positions


def test_fourier_equals_the_official_code() -> None:
    # Theirs is not scaled to keep the norm.
    fnet = package("vision_xformer.fnet")
    x = normal(2, 35, 16)
    assert relative_error(real_fourier(x) * math.sqrt(35 * 16), fnet.FNetBlock()(x)) <= EXACT


def test_fourier_2d_equals_the_official_code() -> None:
    fnet = package("vision_xformer.fnet2d")
    block = fnet.FourierBlock(dim=16)
    block.ff = nn.Identity()
    mixer, stage = mixer_and_stage("fourier-2d")
    x = tokens_of(stage)
    theirs = block(image_of(x, stage)).flatten(2).transpose(1, 2)
    assert relative_error(mixer(x, None) * math.sqrt(35 * 16), theirs) <= EXACT


def test_rotations_equal_the_axial_ones_of_timm() -> None:
    sincos = package("timm.layers.pos_embed_sincos")
    stage = config(positions="rotary-2d").stages[0]
    sine, cosine = sincos.build_rotary_pos_embed([7, 5], dim=8, in_pixels=False)
    x, table = normal(2, 2, 35, 8), rotations(stage)
    # Tables are of float32 on both sides.
    assert relative_error(rotate(x, table), sincos.apply_rot_embed(x, sine, cosine)) <= 1e-6
    sine, cosine = (table[..., part].repeat_interleave(2, 1).double() for part in (1, 0))
    assert relative_error(rotate(x, table), sincos.apply_rot_embed(x, sine, cosine)) <= EXACT


# Embeddings


def test_a_pooling_stem_equals_the_cct_of_vit_pytorch() -> None:
    cct = package("vit_pytorch.cct")
    stage = config(embedding="conv-pool", patch_size=4, stem_depth=2).stages[0]
    ours = build_embedding(stage).double()
    theirs = cct.Tokenizer(
        3, 1, 1, n_conv_layers=2, n_output_channels=16, in_planes=4, activation=nn.ReLU
    )
    weights = dict(zip(dict(theirs.named_parameters()), ours.parameters(), strict=True))
    assert_same(
        lambda x: ours(x).flatten(2).transpose(1, 2),
        partial(run_with, theirs, weights),
        normal(2, 3, 14, 10),
        list(ours.parameters()),
        EXACT,
    )


def test_overlapping_patches_equal_the_cvt_of_vit_pytorch() -> None:
    cvt = package("vit_pytorch.cvt")
    stage = config(embedding="overlapping", patch_size=4).stages[0]
    ours = build_embedding(stage).double()
    randomise(ours)
    theirs = nn.Sequential(nn.Conv2d(3, 16, 7, 4, 3), cvt.LayerNorm(16))
    weights = {
        "0.weight": ours.projection.weight,
        "0.bias": ours.projection.bias,
        "1.g": ours.norm.weight[:, None, None][None],
        "1.b": ours.norm.bias[:, None, None][None],
    }
    assert_same(
        ours,
        partial(run_with, theirs, weights),
        normal(2, 3, 14, 10),
        list(ours.parameters()),
        EXACT,
    )
