from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vixtui.data.mix import draw_mix, mix


def drawn(count: int, seed: int = 0) -> Tensor:
    return draw_mix(count, torch.Generator().manual_seed(seed))


def black_and_white(count: int, height: int = 16, width: int = 16) -> tuple[Tensor, Tensor]:
    """Pictures of zeros, and partners of ones: the mean of a mixture is the partner's share."""
    return torch.zeros(count, 3, height, width), torch.ones(count, 3, height, width)


def test_nothing_is_mixed_at_probability_zero() -> None:
    images, partners = black_and_white(50)

    mixed, own = mix(images, partners, draws=drawn(50), mixup=0, cutmix=0)

    assert torch.equal(mixed, images)
    assert torch.equal(own, torch.ones(50))


@pytest.mark.parametrize(("mixup", "cutmix"), [(1, 0), (0, 1), (0.5, 0.5), (0.3, 0.2)])
@pytest.mark.parametrize("sides", [(16, 16), (8, 24), (1, 1)])
def test_labels_are_shared_as_pixels_are(mixup, cutmix, sides) -> None:
    images, partners = black_and_white(300, *sides)

    mixed, own = mix(images, partners, draws=drawn(300), mixup=mixup, cutmix=cutmix)

    assert torch.allclose(mixed.mean((1, 2, 3)), 1 - own, atol=1e-6)
    assert ((own >= 0) & (own <= 1)).all()


def test_a_picture_is_mixed_with_the_probability_asked_for() -> None:
    images, partners = black_and_white(4000)

    mixed, own = mix(images, partners, draws=drawn(4000), mixup=0.2, cutmix=0.5)

    blended = ((mixed > 0) & (mixed < 1)).flatten(1).any(1)
    pasted = (mixed == 1).flatten(1).any(1)
    assert blended.float().mean() == pytest.approx(0.2, abs=0.03)
    assert (pasted & ~blended).float().mean() == pytest.approx(0.5, abs=0.03)
    assert torch.equal(own == 1, ~(blended | pasted))


def test_cutmix_pastes_one_box_whose_size_varies() -> None:
    images, partners = black_and_white(200)

    mixed, own = mix(images, partners, draws=drawn(200), mixup=0, cutmix=1)

    for box in mixed[:, 0]:
        rows, columns = box.any(1), box.any(0)
        assert torch.equal(box.bool(), rows[:, None] & columns[None])
        assert rows.diff().sum() <= 2
        assert columns.diff().sum() <= 2
    assert 1 - own.max() < 0.05
    assert own.min() < 0.2


def test_a_mixture_follows_from_its_own_draws_alone() -> None:
    images, partners = torch.rand(2, 12, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    draws = drawn(12)

    whole, own = mix(images, partners, draws=draws, mixup=0.5, cutmix=0.5)

    for row in range(12):
        one = slice(row, row + 1)
        alone = mix(images[one], partners[one], draws=draws[one], mixup=0.5, cutmix=0.5)
        assert torch.equal(alone[0], whole[one])
        assert torch.equal(alone[1], own[one])
