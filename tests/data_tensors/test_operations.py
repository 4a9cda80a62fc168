from __future__ import annotations

import pytest
import torch
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
    note = lambda x, *_: used.append(len(x)) or x  # noqa: E731
    monkeypatch.setattr(operations, "_RECOLOURINGS", (note,) * 8)

    result = operate(x, choice=draws[0], strength=draws[1], sign=draws[2])

    assert all(60 < number < 140 for number in used)
    moved = (result != x).flatten(1).any(1).sum()
    assert 400 < moved < 600


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
