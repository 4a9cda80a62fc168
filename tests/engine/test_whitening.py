"""First filters made of the training pictures: outputs alike in strength and not in content."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vixtui.engine.inputs import Normalise, measure
from vixtui.engine.whitening import whiten
from vixtui.models.embedding import LinearPatches
from vixtui.models.vision_xformer import VisionXFormer, build
from vixtui.presets import preset
from vixtui.runs.weights import Preprocessing


def smooth_pictures(count: int, *, channels: int = 3, side: int = 32) -> Tensor:
    """Return pictures whose neighbouring pixels and channels are alike, as in photographs."""
    chance = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, side // 4, side // 4, generator=chance)
    coarse = coarse + 2 * coarse.mean(1, keepdim=True)
    fine = F.interpolate(coarse, (side, side), mode="bicubic") / 3
    fine += 0.02 * torch.randn(fine.shape, generator=chance)
    return (255 * fine.clamp(0, 1)).to(torch.uint8)


def normalised(pictures: Tensor) -> tuple[Normalise, Tensor]:
    normalise = Normalise(measure(pictures), torch.device("cpu"))
    return normalise, normalise.pixels(pictures)


def new_model(name: str, *, channels: int = 3, side: int = 32) -> VisionXFormer:
    torch.manual_seed(0)
    return build(
        preset(name).model_config(
            image_height=side, image_width=side, in_channels=channels, num_classes=4
        )
    )


def first_filters(model: VisionXFormer) -> Tensor:
    return next(model.stages[0].embedding.parameters()).detach()


def outputs(model: VisionXFormer, inputs: Tensor) -> Tensor:
    """Return (d, n): what the first filters give, before any norm and activation."""
    embedding = model.stages[0].embedding
    first = embedding if isinstance(embedding, LinearPatches) else embedding[0]
    return first(inputs).detach().transpose(0, 1).flatten(1)


@pytest.mark.parametrize(("name", "most"), [("hybrid-fnet:tiny", 0.2), ("vit:tiny", 0.01)])
def test_what_the_strong_filters_give_is_uncorrelated_and_equally_strong(
    name: str, most: float
) -> None:
    pictures = smooth_pictures(64)
    normalise, inputs = normalised(pictures)
    model = new_model(name)
    before = outputs(model, inputs)
    whiten(model, pictures, normalise)
    after = outputs(model, inputs)

    def correlation(values: Tensor) -> Tensor:
        return (torch.corrcoef(values[:5]) - torch.eye(5)).abs().max()

    assert correlation(before) > 0.5
    assert correlation(after) < most
    strengths = after.std(1)[:5]
    assert strengths.max() < 1.3 * strengths.min()
    strength = after.var(1).mean().item()
    assert strength == pytest.approx(before.var(1).mean().item(), rel=0.3)


@pytest.mark.parametrize("name", ["hybrid-fnet:tiny", "vit:tiny"])
def test_grey_pictures_in_a_colour_format_give_no_filter_that_is_always_zero(name: str) -> None:
    pictures = smooth_pictures(64, channels=1).expand(-1, 3, -1, -1)
    normalise, inputs = normalised(pictures)
    model = new_model(name)
    whiten(model, pictures, normalise)
    assert outputs(model, inputs).std(1).min() > 0.05


def test_each_filter_has_its_negative_and_the_rest_stay_random() -> None:
    pictures = smooth_pictures(16, channels=1)
    model = new_model("hybrid-fnet:tiny", channels=1)
    before = first_filters(model).clone()
    whiten(model, pictures, normalised(pictures)[0])
    after = first_filters(model)
    assert torch.equal(after[:9], -after[9:18])
    assert torch.equal(after[18:], before[18:])


@pytest.mark.parametrize("name", ["vit:tiny", "cvt:tiny", "cct:tiny", "vit:paper", "levit:tiny"])
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 32)])
def test_every_embedding_begins_with_finite_filters_of_the_pictures(
    name: str, channels: int, side: int
) -> None:
    pictures = smooth_pictures(3, channels=channels, side=side)
    model = new_model(name, channels=channels, side=side)
    before = first_filters(model).clone()
    whiten(model, pictures, normalised(pictures)[0])
    after = first_filters(model)
    assert after.isfinite().all()
    assert not torch.equal(after, before)


@pytest.mark.parametrize("value", [0, 128])
def test_pictures_of_one_colour_give_finite_filters(value: int) -> None:
    pictures = torch.full((5, 3, 32, 32), value, dtype=torch.uint8)
    normalise = Normalise(
        Preprocessing(mean=(value / 255,) * 3, std=(1e-3,) * 3), torch.device("cpu")
    )
    model = new_model("hybrid-fnet:tiny")
    whiten(model, pictures, normalise)
    assert first_filters(model).isfinite().all()


def test_filters_of_very_large_patches_stay_as_they_are() -> None:
    pictures = smooth_pictures(2, side=256)
    model = new_model("vit:tiny", side=256)
    before = first_filters(model).clone()
    whiten(model, pictures, normalised(pictures)[0])
    assert torch.equal(first_filters(model), before)
