"""What holds for every preset, shown on a shrunk one: its architecture, few tokens and channels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from comparing import EXACT, normal, relative_error
from torch import Tensor, nn

from vixtui.engine.weights import load_weights, save_weights
from vixtui.models.blocks import Recompute
from vixtui.models.config import ModelConfig
from vixtui.models.vision_xformer import VisionXFormer, build
from vixtui.presets import Preset, all_presets
from vixtui.runs.weights import ModelCard, Preprocessing

HEIGHT, WIDTH, CLASSES = 12, 8, 4


def shrunk(preset: Preset) -> ModelConfig:
    """Return the model of a preset for 12×8 pixels, with 32 channels and two blocks a stage."""
    options = dict(preset.options)

    def at_most(name: str, most: float, default: Any = None) -> None:
        value = options.get(name, default)
        each = [min(one, most) for one in value] if isinstance(value, list | tuple) else None
        options[name] = each or min(value, most)

    for name, most in (("embed_dim", 32), ("depth", 2), ("num_heads", 2)):
        at_most(name, most)
    at_most("patch_size", 2, default=2)
    for name, most in (
        ("landmarks", 1 / 8),
        ("projection_rank", 1 / 4),
        ("random_features", 1 / 4),
    ):
        at_most(name, most, default=getattr(ModelConfig, name))
    size = {"image_height": HEIGHT, "image_width": WIDTH, "in_channels": 3, "num_classes": CLASSES}
    return ModelConfig.from_dict(options | size | {"dropout": 0.0, "drop_path": 0.0})


def architectures() -> dict[ModelConfig, str]:
    """Return what differs when shrunk, and the first preset of it."""
    found: dict[ModelConfig, str] = {}
    for name, preset in all_presets().items():
        found.setdefault(shrunk(preset), name)
    return found


every_preset = pytest.mark.parametrize(
    "config", [pytest.param(config, id=name) for config, name in architectures().items()]
)


def parts_once() -> dict[str, ModelConfig]:
    """Return as few architectures as show every mixer, with its options, and every embedding."""
    seen: set[object] = set()
    found = {}
    for config, name in architectures().items():
        mixing = (config.token_mixer, config.rotary, config.projection, config.downsampling)
        mapping = (config.embedding, config.pooling)
        if {mixing, mapping} - seen:
            seen |= {mixing, mapping}
            found[name] = config
    return found


every_part = pytest.mark.parametrize("config", parts_once().values(), ids=parts_once())


def each_and_parts_otherwise(option: str, usual: object, other: object) -> pytest.MarkDecorator:
    """Test every architecture with one value of an option, and every part with another."""
    cases = [(name, config, usual) for config, name in architectures().items()]
    cases += [(f"{name}-{other}", config, other) for name, config in parts_once().items()]
    return pytest.mark.parametrize(
        ("config", option), [pytest.param(*values, id=name) for name, *values in cases]
    )


def model_of(config: ModelConfig, recompute: Recompute = "none") -> VisionXFormer:
    torch.manual_seed(0)
    return build(config, recompute=recompute)


def pictures(count: int = 4) -> Tensor:
    return normal(count, 3, HEIGHT, WIDTH)


def labels(count: int = 4) -> Tensor:
    return torch.arange(count) % CLASSES


def loss_of(model: nn.Module, images: Tensor) -> Tensor:
    """The summed cross-entropy, so that the losses of parts add up."""
    targets = labels(len(images))
    return nn.functional.cross_entropy(model(images).double(), targets, reduction="sum")


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Return all gradients, and forget them."""
    found = {name: weight.grad for name, weight in model.named_parameters()}
    model.zero_grad()
    return found


def assert_same_gradients(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    largest = max(float(one.abs().max()) for one in wanted.values())
    for name, gradient in wanted.items():
        assert (got[name] - gradient).abs().max() <= EXACT * largest, name


@every_preset
def test_a_picture_does_not_depend_on_its_neighbours(config: ModelConfig) -> None:
    model = model_of(config).double().eval()
    images = pictures()
    images[1:] *= 10
    together = model(images)
    for index in range(len(images)):
        alone = model(images[index : index + 1])
        assert relative_error(together[index : index + 1], alone) <= EXACT


@every_preset
def test_micro_batches_add_up_to_the_batch(config: ModelConfig) -> None:
    model = model_of(config).double()
    images, targets = pictures(8), labels(8)
    found = []
    for micro_batch in (8, 4, 1):
        for part, target in zip(images.split(micro_batch), targets.split(micro_batch), strict=True):
            nn.functional.cross_entropy(model(part), target, reduction="sum").backward()
        found.append(gradients(model))
    for other in found[1:]:
        assert_same_gradients(other, found[0])


@each_and_parts_otherwise("dropout", 0.3, 0.0)
def test_recomputing_changes_neither_loss_nor_gradients(
    config: ModelConfig, dropout: float
) -> None:
    config = replace(config, dropout=dropout, drop_path=dropout)
    found = []
    for level in ("none", "fast", "mlp", "block"):
        model = model_of(config, level).double()
        torch.manual_seed(1)
        loss = loss_of(model, pictures())
        loss.backward()
        found.append((loss.item(), gradients(model), torch.rand(1)))
    for loss, others, drawn in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=EXACT)
        assert_same_gradients(others, found[0][1])
        assert torch.equal(drawn, found[0][2])  # later steps draw the same numbers, too


@each_and_parts_otherwise("precision", "fp32", "bf16")
def test_training_lowers_the_loss(config: ModelConfig, precision: str) -> None:
    model = model_of(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    brightness = labels(8)[:, None, None, None]  # tells the class
    images, losses = (pictures(8) + brightness).float(), []
    for _ in range(10):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = model(images)
        loss = nn.functional.cross_entropy(logits.float(), labels(8))
        loss.backward()
        assert all(weight.grad.isfinite().all() for weight in model.parameters())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@every_preset
def test_every_parameter_takes_part(config: ModelConfig) -> None:
    model = model_of(config).double()
    for parameter in model.parameters():  # a bias that starts at zero may hide another weight
        nn.init.normal_(parameter, std=0.2)
    loss_of(model, pictures()).backward()
    unused = [name for name, gradient in gradients(model).items() if not gradient.any()]
    assert unused == []


def least(config: ModelConfig) -> ModelConfig:
    """Return the smallest model of the same architecture: tracing takes long."""

    def each(value: Any, small: int) -> Any:
        return (small,) * len(value) if isinstance(value, tuple) else small

    depth, heads = each(config.depth, 1), each(config.num_heads, 1)
    return replace(config, depth=depth, num_heads=heads, image_height=8, image_width=6)


@every_part
def test_the_compiler_takes_it_whole(config: ModelConfig) -> None:
    torch.compiler.reset()
    model = model_of(least(config))
    images = normal(2, 3, 8, 6).float()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    found = []
    for one in (model, compiled):
        loss = loss_of(one, images)
        loss.backward()
        found.append((loss.item(), gradients(model)))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], gradient, rtol=1e-4, atol=1e-5)


@every_part
def test_it_can_be_exported_for_any_batch(config: ModelConfig) -> None:
    model = model_of(least(config)).eval()
    any_batch = {"images": {0: torch.export.Dim("batch", min=1, max=64)}}
    example = (normal(2, 3, 8, 6).float(),)
    exported = torch.export.export(model, example, dynamic_shapes=any_batch).module()
    for count in (1, 5):
        images = normal(count, 3, 8, 6).float()
        assert relative_error(exported(images), model(images)) <= 1e-6


@every_preset
def test_a_saved_model_answers_as_before(config: ModelConfig, tmp_path: Path) -> None:
    card = ModelCard(
        title="test",
        model=config,
        classes=("ant", "bee", "cat", "dog"),
        preprocessing=Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3),
        metrics={},
        data={"source": "test"},
        provenance={},
    )
    model = model_of(config).eval()
    save_weights(tmp_path / "model.safetensors", model.state_dict(), card)
    torch.manual_seed(7)
    loaded, read = load_weights(tmp_path / "model.safetensors")
    images = pictures().float()
    assert torch.equal(loaded(images), model(images))
    assert read.model == config


@every_preset
def test_its_description_survives_json(config: ModelConfig) -> None:
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
