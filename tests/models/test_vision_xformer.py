"""Every preset builds, and a picture's result is its own."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vixtui.models.config import ATTENTION_MIXERS, ModelConfig
from vixtui.models.vision_xformer import DropPath, build
from vixtui.presets import all_presets

TINY = [preset for preset in all_presets().values() if preset.size == "tiny"]
IDS = [preset.variant for preset in TINY]


def small(preset: object, **changes: object) -> ModelConfig:
    model = preset.model_config(image_height=16, image_width=16, in_channels=3, num_classes=4)  # type: ignore[attr-defined]
    return dataclasses.replace(model, embed_dim=32, num_heads=2, **changes)


@pytest.mark.parametrize("preset", TINY, ids=IDS)
def test_a_picture_alone_equals_the_same_picture_in_a_batch(preset: object) -> None:
    torch.manual_seed(0)
    model = build(small(preset)).double().eval()
    torch.nn.init.normal_(model.head.weight)
    images = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    images[1:] *= 10
    torch.testing.assert_close(model(images)[:1], model(images[:1]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("preset", TINY, ids=IDS)
def test_micro_batches_give_the_same_gradient(preset: object) -> None:
    torch.manual_seed(0)
    model = build(small(preset)).double()
    torch.nn.init.normal_(model.head.weight)
    images = torch.randn(8, 3, 16, 16, dtype=torch.float64)
    labels = torch.randint(4, (8,))

    def gradient(micro_batch: int) -> torch.Tensor:
        model.zero_grad()
        for part, target in zip(images.split(micro_batch), labels.split(micro_batch), strict=True):
            loss = torch.nn.functional.cross_entropy(model(part), target, reduction="sum") / 8
            loss.backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    whole = gradient(8)
    for micro_batch in (1, 3):
        difference = (gradient(micro_batch) - whole).norm() / whole.norm()
        assert difference <= 1e-12


@pytest.mark.parametrize("preset", TINY, ids=IDS)
def test_training_in_bfloat16_lowers_the_loss(preset: object) -> None:
    torch.manual_seed(0)
    model = build(small(preset))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    images, labels = torch.randn(16, 3, 16, 16), torch.randint(4, (16,))
    losses = []
    for _ in range(20):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(images)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("preset", TINY, ids=IDS)
def test_every_parameter_is_used(preset: object) -> None:
    model = build(small(preset))
    torch.nn.init.normal_(model.head.weight)
    model(torch.randn(2, 3, 16, 16)).square().sum().backward()
    unused = [name for name, value in model.named_parameters() if value.grad is None]
    assert unused == []


def test_dropout_reaches_every_mixer_and_is_off_in_evaluation() -> None:
    for preset in TINY:
        torch.manual_seed(0)
        config = small(preset, dropout=0.5)
        mixer = build(config).blocks[0].mixer
        x = torch.randn(2, config.num_tokens, 32)
        assert not torch.equal(mixer.train()(x, None), mixer(x, None)), preset
        assert torch.equal(mixer.eval()(x, None), mixer(x, None)), preset


def test_stochastic_depth_keeps_the_expected_value() -> None:
    torch.manual_seed(0)
    dropped = DropPath(0.3)(torch.ones(20_000, 1, 1))
    assert sorted(dropped.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    mixer = draw(
        st.sampled_from(["softmax", "nystromformer", "performer", "linformer", "fourier", "mlp"])
    )
    attention = mixer in ATTENTION_MIXERS
    embedding = draw(st.sampled_from(["linear", "conv"]))
    return ModelConfig(
        token_mixer=mixer,  # type: ignore[arg-type]
        embedding=embedding,  # type: ignore[arg-type]
        positions=draw(st.sampled_from(["learned", "none"] + ["rotary", "rotary-2d"] * attention)),
        pooling=draw(st.sampled_from(["mean"] + ["class"] * (mixer != "mlp"))),
        image_height=draw(st.integers(1, 21)),
        image_width=draw(st.integers(1, 21)),
        in_channels=draw(st.sampled_from([1, 3])),
        num_classes=draw(st.integers(2, 7)),
        patch_size=draw(st.sampled_from([1, 2, 4] + [3, 5] * (embedding == "linear"))),
        embed_dim=24,
        num_heads=draw(st.sampled_from([1, 2, 3])),
        depth=1,
        stem_depth=draw(st.integers(2, 4)),
        stem_activation=draw(st.booleans()),
        landmarks=draw(st.integers(1, 9)),
        projection_rank=draw(st.integers(1, 9)),
    )


@settings(max_examples=60, deadline=None)
@given(config=configs())
def test_any_picture_size_patch_and_token_count_works(config: ModelConfig) -> None:
    images = torch.randn(2, config.in_channels, config.image_height, config.image_width)
    model = build(config)
    rows, columns = config.grid
    assert model.embedding(images).shape == (2, config.embed_dim, rows, columns)
    logits = model(images)
    assert logits.shape == (2, config.num_classes)
    assert logits.isfinite().all()
    assert ModelConfig.from_dict(config.to_dict()) == config
