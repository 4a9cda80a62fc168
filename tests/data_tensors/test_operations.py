from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vixtui.data import operations
from vixtui.data.operations import operate

KINDS = 14
(
    SLANT_X, SLANT_Y, SHIFT_X, SHIFT_Y, TURN, BRIGHTNESS, CONTRAST, SATURATION, SHARPNESS,
    POSTERIZE, SOLARIZE, AUTOCONTRAST, EQUALIZE, NOTHING,
) = range(KINDS)  # fmt: skip


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


def done(x: Tensor, kind: int, strength: float = 0.9, sign: float = 0.9) -> Tensor:
    """Apply one operation to all pictures."""
    values = ((kind + 0.5) / KINDS, strength, sign)
    choice, strengths, signs = (torch.full((len(x),), value) for value in values)
    return operate(x, choice=choice, strength=strengths, sign=signs)


@pytest.mark.parametrize("kind", range(KINDS))
@pytest.mark.parametrize("shape", [(3, 3, 16, 16), (2, 1, 9, 20), (1, 3, 1, 1)])
def test_every_operation_keeps_shape_range_and_input(kind, shape) -> None:
    x = noise(*shape)
    before = x.clone()

    result = done(x, kind)

    assert result.shape == x.shape
    assert 0 <= result.min() <= result.max() <= 1
    assert torch.equal(x, before)
    if min(shape[2:]) > 1:
        unchanged = kind == NOTHING or (kind == SATURATION and shape[1] == 1)
        assert torch.allclose(result, x, atol=1e-3) == unchanged


def test_every_operation_comes_about_equally_often(monkeypatch) -> None:
    x, draws = noise(1, 3, 8, 8).expand(1400, -1, -1, -1), noise(3, 1400)
    used: list[int] = []
    note = lambda x, drawn: used.extend(drawn.kind.bincount().tolist()) or x  # noqa: E731
    noting = tuple((kinds, note) for kinds, _ in operations._CHANGES)
    monkeypatch.setattr(operations, "_CHANGES", noting)

    operate(x, choice=draws[0], strength=draws[1], sign=draws[2])

    assert len(used) == KINDS - 1
    assert all(60 < number < 140 for number in used)


def test_shifts_slants_and_turns_go_as_far_as_they_say() -> None:
    x = torch.zeros(1, 1, 21, 21)
    x[0, 0, 10, 10] = 1  # a dot in the middle
    x[0, 0, 10, 16] = 0.5  # and one to the right

    def place(result: Tensor, value: float) -> list[int]:
        return (result[0, 0] - value).abs().flatten().argmin().div(21, rounding_mode="floor").item()

    assert done(x, SHIFT_X, 10 / 21)[0, 0, 10, 7] == pytest.approx(1)  # 0.3 · 10 px to the left
    assert done(x, SHIFT_Y, 10 / 21, 0.1)[0, 0, 13, 10] == pytest.approx(1)
    assert done(x, TURN)[0, 0, 10, 10] == pytest.approx(1, abs=1e-4)
    assert place(done(x, SLANT_Y, 0.99), 0.5) in (8, 9)  # 6 px · 0.3 up
    assert place(done(x, TURN, 0.99), 0.45) in (7, 8)  # 6 px · sin 30° up


@pytest.mark.parametrize("shape", [(3, 3, 16, 16), (2, 1, 9, 20)])
def test_moves_are_those_of_an_affine_grid(shape) -> None:
    x, (height, width) = noise(*shape), shape[2:]
    sin, cos, tall = math.sin(math.radians(24)), math.cos(math.radians(24)), height / width
    maps = {
        SLANT_X: [[1, 0.24 * tall, 0], [0, 1, 0]],
        SLANT_Y: [[1, 0, 0], [0.24 / tall, 1, 0]],
        SHIFT_X: [[1, 0, 0.48], [0, 1, 0]],
        SHIFT_Y: [[1, 0, 0], [0, 1, 0.48]],
        TURN: [[cos, -sin * tall, 0], [sin / tall, cos, 0]],
    }
    for kind, rows in maps.items():
        grid = F.affine_grid(torch.tensor([rows] * len(x)), list(shape), align_corners=False)
        moved = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
        assert torch.allclose(done(x, kind, 0.8), moved, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 3, 16, 16), (2, 1, 9, 20), (1, 3, 1, 5)])
@pytest.mark.parametrize(("sign", "factor"), [(0.9, 1.72), (0.1, 0.28)])
def test_enhancements_scale_the_distance_from_black_mean_grey_grey_and_blur(
    shape, sign, factor
) -> None:
    x = noise(*shape)
    luma = torch.tensor([0.299, 0.587, 0.114] if shape[1] == 3 else [1.0])
    grey = (x * luma.view(1, -1, 1, 1)).sum(1, keepdim=True)
    origins = {
        BRIGHTNESS: torch.zeros(1),
        CONTRAST: grey.mean((2, 3), keepdim=True),
        SATURATION: grey,
        SHARPNESS: F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False),
    }
    for kind, origin in origins.items():
        expected = (origin + factor * (x - origin)).clamp(0, 1)
        assert torch.allclose(done(x, kind, 0.8, sign), expected, atol=1e-5)


def test_equalize_spreads_few_levels_over_the_whole_range() -> None:
    x = torch.full((1, 1, 4, 4), 0.4)
    x[..., 1, :], x[..., 2, :], x[..., 3, :] = 0.41, 0.42, 0.43

    result = done(x, EQUALIZE)

    assert result[0, 0, :, 0].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert torch.equal(done(torch.full((1, 3, 4, 4), 0.4), EQUALIZE), torch.full((1, 3, 4, 4), 0.4))


def test_autocontrast_and_posterize_do_what_pillow_does() -> None:
    from PIL import Image, ImageOps

    pixels = (noise(6, 6, 3) * 100 + 60).to(torch.uint8)
    image = Image.fromarray(pixels.numpy())
    x = pixels.permute(2, 0, 1)[None].float() / 255

    def as_pillow(result: Image.Image) -> Tensor:
        return torch.frombuffer(bytearray(result.tobytes()), dtype=torch.uint8).view(6, 6, 3)

    stretched = (done(x, AUTOCONTRAST)[0] * 255).round().permute(1, 2, 0)
    assert (stretched - as_pillow(ImageOps.autocontrast(image)).float()).abs().max() <= 1
    coarse = (done(x, POSTERIZE, 0.99)[0] * 255).round().permute(1, 2, 0)
    assert (coarse - as_pillow(ImageOps.posterize(image, 4)).float()).abs().max() <= 1


def test_a_picture_changes_the_same_way_whatever_pictures_are_beside_it() -> None:
    x, draws = noise(120, 3, 12, 12), noise(3, 120)

    whole = operate(x, choice=draws[0], strength=draws[1], sign=draws[2])

    parts = [
        operate(part, choice=choice, strength=strength, sign=sign)
        for part, choice, strength, sign in zip(
            x.split(7), *(d.split(7) for d in draws), strict=True
        )
    ]
    assert torch.equal(whole, torch.cat(parts))
