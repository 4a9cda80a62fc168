"""Whole models equal those of the packages that others use, run with our weights."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from comparing import EXACT, assert_same, config, normal, randomise
from outside import package, run_with, without_epsilon
from torch import Tensor, nn

from vixtui.models.config import ModelConfig
from vixtui.models.vision_xformer import VisionXFormer, build

Weights = dict[str, Tensor]


def model_of(token_mixer: str, **changes: Any) -> tuple[VisionXFormer, ModelConfig]:
    description = config(token_mixer, **({"positions": "learned"} | changes))
    model = build(description).double()
    randomise(model)
    return model, description


def assert_same_model(
    model: VisionXFormer, theirs: nn.Module, weights: Weights, batch: int = 3
) -> None:
    stage = model.stages[0]
    side = stage.embedding.patch_size
    images = normal(batch, 3, side * stage.grid[0], side * stage.grid[1])
    assert_same(model, partial(run_with, theirs, weights), images, list(model.parameters()), EXACT)


def linear(ours: nn.Module, name: str) -> Weights:
    """Weight and bias of a linear map or a norm, under another name."""
    return {f"{name}.weight": ours.weight, f"{name}.bias": ours.bias}


def patch_kernel(model: VisionXFormer) -> Tensor:
    """The patch matrix as a convolution, (d, channels, rows, columns of a patch)."""
    projection = model.stages[0].embedding.projection
    return projection.weight.unflatten(1, (3, 2, 2))


def patch_matrix(model: VisionXFormer) -> Tensor:
    """The same with the channels last, (d, rows·columns·channels of a patch)."""
    return patch_kernel(model).permute(0, 2, 3, 1).flatten(1)


# vit-pytorch and timm


@pytest.mark.parametrize("pooling", ["mean", "class"])
def test_vit_equals_vit_pytorch(pooling: str) -> None:
    vit = package("vit_pytorch.vit")
    model, _ = model_of("softmax", pooling=pooling)
    theirs = vit.ViT(
        image_size=(14, 10), patch_size=2, num_classes=5, dim=16, depth=2, heads=2, dim_head=8,
        mlp_dim=32, pool="cls" if pooling == "class" else "mean",
    )  # fmt: skip
    without_patch_norms(theirs)
    stage = model.stages[0]
    weights = {
        "to_patch_embedding.2.weight": patch_matrix(model),
        "to_patch_embedding.2.bias": stage.embedding.projection.bias,
        "pos_embedding": stage.positions[0],
        "cls_token": torch.empty(0, 16).double() if pooling == "mean" else stage.class_token[0],
        **linear(model.norm, "transformer.norm"),
        **linear(model.head, "mlp_head"),
    }
    for index, block in enumerate(stage.blocks):
        layer = f"transformer.layers.{index}"
        weights |= {
            f"{layer}.0.to_qkv.weight": block.mixer.heads.to_qkv.weight,
            **linear(block.mixer_norm, f"{layer}.0.norm"),
            **linear(block.mixer.heads.merge.to_output, f"{layer}.0.to_out.0"),
            **linear(block.mlp_norm, f"{layer}.1.net.0"),
            **linear(block.mlp.expand, f"{layer}.1.net.1"),
            **linear(block.mlp.reduce, f"{layer}.1.net.4"),
        }
    assert_same_model(model, theirs, weights)


@pytest.mark.parametrize("pooling", ["mean", "class"])
def test_vit_equals_timm(pooling: str) -> None:
    vit = package("timm.models.vision_transformer")
    model, _ = model_of("softmax", pooling=pooling, drop_path=0.1, depth=3)
    theirs = vit.VisionTransformer(
        img_size=(14, 10), patch_size=2, num_classes=5, embed_dim=16, depth=3, num_heads=2,
        mlp_ratio=2, qkv_bias=False, norm_layer=partial(nn.LayerNorm, eps=1e-5), fc_norm=False,
        global_pool="token" if pooling == "class" else "avg", class_token=pooling == "class",
        drop_path_rate=0.1,
    )  # fmt: skip
    stage = model.stages[0]
    weights = {
        "pos_embed": stage.positions,
        "patch_embed.proj.weight": patch_kernel(model),
        "patch_embed.proj.bias": stage.embedding.projection.bias,
        **linear(model.norm, "norm"),
        **linear(model.head, "head"),
    }
    if pooling == "class":
        weights["cls_token"] = stage.class_token
    for index, block in enumerate(stage.blocks):
        weights |= {
            f"blocks.{index}.attn.qkv.weight": block.mixer.heads.to_qkv.weight,
            **linear(block.mixer_norm, f"blocks.{index}.norm1"),
            **linear(block.mixer.heads.merge.to_output, f"blocks.{index}.attn.proj"),
            **timm_mlp(block, f"blocks.{index}"),
        }
        theirs_drop = getattr(theirs.blocks[index].drop_path1, "drop_prob", 0.0)
        assert block.drop_path.probability == pytest.approx(theirs_drop)
    assert_same_model(model.eval(), theirs.eval(), weights)


def test_mlp_mixer_equals_timm() -> None:
    mixer = package("timm.models.mlp_mixer")
    model, description = model_of("mlp", positions="none", image_height=16, image_width=16)
    theirs = mixer.MlpMixer(
        num_classes=5, img_size=16, patch_size=2, num_blocks=2, embed_dim=16, mlp_ratio=(8, 2),
        norm_layer=partial(nn.LayerNorm, eps=1e-5),
    )  # fmt: skip
    assert description.num_tokens * description.mlp_ratio == 8 * 16
    weights = {
        "stem.proj.weight": patch_kernel(model),
        "stem.proj.bias": model.stages[0].embedding.projection.bias,
        **linear(model.norm, "norm"),
        **linear(model.head, "head"),
    }
    for index, block in enumerate(model.stages[0].blocks):
        first, second = (one for one in block.mixer.modules() if isinstance(one, nn.Conv1d))
        weights |= {
            **linear(block.mixer_norm, f"blocks.{index}.norm1"),
            f"blocks.{index}.mlp_tokens.fc1.weight": first.weight[:, :, 0],
            f"blocks.{index}.mlp_tokens.fc1.bias": first.bias,
            f"blocks.{index}.mlp_tokens.fc2.weight": second.weight[:, :, 0],
            f"blocks.{index}.mlp_tokens.fc2.bias": second.bias,
            **timm_mlp(block, f"blocks.{index}", "mlp_channels"),
        }
    assert_same_model(model, theirs, weights)


def timm_mlp(block: nn.Module, name: str, mlp: str = "mlp") -> Weights:
    return {
        **linear(block.mlp_norm, f"{name}.norm2"),
        **linear(block.mlp.expand, f"{name}.{mlp}.fc1"),
        **linear(block.mlp.reduce, f"{name}.{mlp}.fc2"),
    }


def test_sequence_pooling_equals_the_cct_of_vit_pytorch() -> None:
    # Its blocks have a norm that ours, and those of its paper, have not: none of them here.
    cct = package("vit_pytorch.cct")
    model, description = model_of("softmax", pooling="sequence", positions="none")
    theirs = cct.TransformerClassifier(
        embedding_dim=16, num_layers=0, num_classes=5, positional_embedding="none",
        sequence_length=description.num_tokens,
    )  # fmt: skip
    parts = (model.norm, model.sequence_pooling.score, model.head)
    weights: Weights = {}
    for part, name in zip(parts, ("norm", "attention_pool", "fc"), strict=True):
        weights |= linear(part, name)
    assert_same(
        lambda x: model.head(model.sequence_pooling(model.norm(x))),
        partial(run_with, theirs.eval(), weights),
        normal(3, 35, 16),
        [parameter for part in parts for parameter in part.parameters()],
        EXACT,
    )


# The official package. Its norms before and after the patch matrix are left out: ours has none.


def test_vin_equals_the_official_one() -> None:
    # One picture and one head, and tokens that divide: see test_nystromformer_equals_its_package.
    package("vision_xformer")
    size = {"image_height": 14, "image_width": 10, "num_heads": 1}
    model, _ = model_of("nystromformer", pooling="class", **size)

    def mixer(block: Any, name: str) -> Weights:
        return {
            f"{name}.to_qkv.weight": block.mixer.heads.to_qkv.weight,
            **linear(block.mixer.heads.merge.to_output, f"{name}.to_out.0"),
            f"{name}.res_conv.weight": block.mixer.residual[:, None, :, None],
        }

    assert_same_official(model, "ViN", mixer, batch=1, heads=1, dim_head=16, num_landmarks=4)


def test_vip_equals_the_official_one(monkeypatch: pytest.MonkeyPatch) -> None:
    without_epsilon(monkeypatch)
    model, _ = model_of("performer", pooling="class", random_features=16)
    no_bias = torch.zeros(16).double()

    def mixer(block: Any, name: str) -> Weights:
        matrices = block.mixer.heads.to_qkv.weight.chunk(3)
        weights = {
            f"{name}.fast_attention.projection_matrix": block.mixer.projection,
            **linear(block.mixer.heads.merge.to_output, f"{name}.to_out"),
        }
        for part, matrix in zip(("to_q", "to_k", "to_v"), matrices, strict=True):
            weights |= {f"{name}.{part}.weight": matrix, f"{name}.{part}.bias": no_bias}
        return weights

    assert_same_official(model, "ViP", mixer, heads=2, dim_head=8)


def test_vil_equals_the_official_one() -> None:
    package("vision_xformer")
    model, _ = model_of("linformer", pooling="class", share_kv=True, one_kv_head=True)

    def mixer(block: Any, name: str) -> Weights:
        return {
            f"{name}.to_q.weight": block.mixer.to_q.weight,
            f"{name}.to_k.weight": block.mixer.to_k.weight,
            f"{name}.proj_k": block.mixer.project_keys.T,
            **linear(block.mixer.merge.to_output, f"{name}.to_out"),
        }

    assert_same_official(model, "ViL", mixer, heads=2, dim_head=8, k=6)


def test_fnet_equals_the_official_one() -> None:
    package("vision_xformer")
    model, _ = model_of("fourier", pooling="class")
    assert_same_official(model, "FNet", lambda block, name: {}, encoder="token_mixer")


def assert_same_official(
    model: VisionXFormer,
    kind: str,
    mixer: Any,
    batch: int = 3,
    encoder: str = "transformer",
    **options: Any,
) -> None:
    stage = model.stages[0]
    theirs = getattr(package("vision_xformer"), kind)(
        image_size=(14, 10), patch_size=2, num_classes=5, dim=16, depth=2, mlp_dim=32, **options
    )
    without_patch_norms(theirs)
    weights = {
        "to_patch_embedding.2.weight": patch_matrix(model),
        "to_patch_embedding.2.bias": stage.embedding.projection.bias,
        "pos_embedding": stage.positions,
        "cls_token": stage.class_token,
        **linear(model.norm, "mlp_head.0"),
        **linear(model.head, "mlp_head.1"),
    }
    # The official Fourier transform is not scaled; as it is linear, the norm before it can be.
    scale = 1 / math.sqrt(36 * 16) if kind == "FNet" else 1
    for index, block in enumerate(stage.blocks):
        layer = f"{encoder}.layers.{index}"
        weights |= {
            f"{layer}.0.norm.weight": block.mixer_norm.weight * scale,
            f"{layer}.0.norm.bias": block.mixer_norm.bias * scale,
            **mixer(block, f"{layer}.0.fn"),
            **linear(block.mlp_norm, f"{layer}.1.norm"),
            **linear(block.mlp.expand, f"{layer}.1.fn.net.0"),
            **linear(block.mlp.reduce, f"{layer}.1.fn.net.3"),
        }
    assert_same_model(model, theirs, weights, batch)


def without_patch_norms(theirs: Any) -> None:
    theirs.to_patch_embedding[1] = theirs.to_patch_embedding[3] = nn.Identity()
