from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vixtui.data.augment import augment, draw

OFF = {"crop": 0.0, "horizontal_flip": False, "color_jitter": 0.0, "erase": 0.0, "trivial": 0.0}
ALL = {"crop": 0.125, "horizontal_flip": True, "color_jitter": 0.2, "erase": 0.25, "trivial": 1.0}


def drawn(count: int, seed: int = 0) -> Tensor:
    return draw(count, seeded(seed))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(9))


def test_everything_off_only_scales() -> None:
    images = noise(4, 3, 16, 16)

    assert torch.equal(augment(images, draws=drawn(len(images)), **OFF), images.float() / 255)


@pytest.mark.parametrize("shape", [(7, 3, 32, 32), (5, 1, 8, 8), (1, 3, 20, 12), (3, 1, 1, 1)])
def test_shape_range_and_input_are_kept(shape) -> None:
    images = noise(*shape)
    before = images.clone()

    result = augment(images, draws=drawn(len(images)), **ALL)

    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert 0 <= result.min() <= result.max() <= 1
    assert torch.equal(images, before)


def test_augmentation_is_the_same_for_the_same_generator() -> None:
    images = noise(16, 3, 32, 32)

    first, again, other = (augment(images, draws=drawn(16, s), **ALL) for s in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("setting", [*ALL])
def test_augmentation_is_per_picture(setting) -> None:
    images = noise(1, 3, 32, 32).expand(32, -1, -1, -1)

    result = augment(images, draws=drawn(len(images)), **(OFF | {setting: ALL[setting]}))

    different = {image.numpy().tobytes() for image in result}
    assert len(different) == 2 if setting == "horizontal_flip" else len(different) > 20


def test_an_operation_comes_with_its_probability() -> None:
    images = noise(400, 3, 8, 8)

    result = augment(images, draws=drawn(400), **(OFF | {"trivial": 0.5}))

    changed = (result - images.float() / 255).abs().flatten(1).amax(1) > 1e-6
    assert 130 < changed.sum() < 230  # a few operations change nothing


def test_a_flip_mirrors_about_every_second_picture() -> None:
    images = noise(400, 1, 4, 6)

    result = augment(images, draws=drawn(len(images)), **(OFF | {"horizontal_flip": True}))

    plain = images.float() / 255
    kept = (result == plain).flatten(1).all(1)
    mirrored = (result == plain.flip(3)).flatten(1).all(1)
    assert (kept | mirrored).all()
    assert 150 < mirrored.sum() < 250


def test_a_shift_moves_by_at_most_the_fraction_and_mirrors_the_edge() -> None:
    image = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    padded = torch.nn.functional.pad(image.float() / 255, (1, 1, 1, 1), mode="reflect")[0, 0]
    windows = {padded[y : y + 8, x : x + 8].numpy().tobytes() for y in range(3) for x in range(3)}

    result = augment(image.expand(200, -1, -1, -1), draws=drawn(200), **(OFF | {"crop": 0.125}))

    assert {shifted[0].numpy().tobytes() for shifted in result} == windows


def test_an_erased_square_has_the_mean_colour_and_the_side_asked_for() -> None:
    images = noise(64, 3, 32, 32)
    plain = images.float() / 255

    result = augment(images, draws=drawn(len(images)), **(OFF | {"erase": 0.25}))

    changed = (result != plain).any(1).flatten(1).sum(1)
    assert changed.max() == 64
    assert changed.min() >= 16  # a quarter of the square, in a corner
    for before, after in zip(plain[:5], result[:5], strict=True):
        hole = (before != after).any(0)
        assert torch.allclose(after[:, hole], before.mean((1, 2))[:, None].expand(3, hole.sum()))


def test_jitter_changes_a_picture_as_brightness_contrast_saturation_say() -> None:
    images = noise(8, 3, 6, 6) // 2 + 64  # in the middle, so that nothing is clamped
    x = images.float() / 255
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    b, c, s = (1 + 0.1 * (2 * factor - 1) for factor in drawn(8).T[3:6])
    x = x * b.view(-1, 1, 1, 1)
    mean_grey = (x * luma).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    x = mean_grey + c.view(-1, 1, 1, 1) * (x - mean_grey)
    grey = (x * luma).sum(1, keepdim=True)
    x = grey + s.view(-1, 1, 1, 1) * (x - grey)

    result = augment(images, draws=drawn(len(images)), **(OFF | {"color_jitter": 0.1}))

    assert torch.allclose(result, x, atol=1e-5)


def test_a_picture_changes_the_same_way_whatever_pictures_are_beside_it() -> None:
    images, draws = noise(8, 3, 16, 16), drawn(8)

    whole = augment(images, draws=draws, **ALL)
    parts = [
        augment(part, draws=chance, **ALL)
        for part, chance in zip(images.split(3), draws.split(3), strict=True)
    ]

    assert torch.equal(whole, torch.cat(parts))
