"""Convolutions over maps smaller than their kernel have right gradients in bfloat16 too.

The kernel of a CPU reads memory that nobody wrote; what others left there is made visible here.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from comparing import config, normal
from torch import Tensor, nn

from vixtui.models.embedding import OverlappingPatches
from vixtui.models.mixers import build_mixer


def assert_right_gradient(run: Callable[[], Tensor], weight: nn.Parameter) -> None:
    wanted = torch.autograd.grad(run().square().sum(), weight)[0]
    for _ in range(10):
        left_behind = [torch.full((size,), torch.nan) for size in (144, 288, 1000, 2304, 5000)]
        del left_behind
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = run()
        got = torch.autograd.grad(result.float().square().sum(), weight)[0]
        assert (got - wanted).norm() <= 0.1 * wanted.norm()


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("side", [1, 2, 4])
def test_conv_projections(side: int, stride: int) -> None:
    stage = config(
        "softmax", projection="conv", key_stride=stride, embed_dim=32,
        image_height=2 * side, image_width=2 * side,
    ).stages[0]  # fmt: skip
    torch.manual_seed(0)
    mixer = build_mixer(stage)
    x = normal(8, side * side, 32).float()
    assert_right_gradient(lambda: mixer(x, None), mixer.heads.convolutions[2].weight)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 4), (2, 2)])
def test_overlapping_patches(shape: tuple[int, int], stride: int) -> None:
    torch.manual_seed(0)
    patches = OverlappingPatches(32, 32, stride)
    x, direction = normal(8, 32, *shape).float(), normal(32, 1, 1, seed=1).float()
    assert_right_gradient(lambda: patches(x) * direction, patches.projection.weight)
