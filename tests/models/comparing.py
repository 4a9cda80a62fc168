"""What the tests of this folder share: a small model description, and how results are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vixtui.models.config import ModelConfig
from vixtui.models.positions import rotate_

Function = Callable[[Tensor], Tensor]

EXACT = 1e-12
"""Largest difference of two float64 results that count as equal, relative to the largest entry."""
SINGLE = 2e-5
"""The same for float32."""


def config(token_mixer: str = "softmax", **changes: Any) -> ModelConfig:
    """Return a model of 7×5 tokens, 16 channels and two heads."""
    values: dict[str, Any] = {
        "token_mixer": token_mixer,
        "embedding": "linear",
        "positions": "none",
        "image_height": 14,
        "image_width": 10,
        "in_channels": 3,
        "num_classes": 5,
        "patch_size": 2,
        "embed_dim": 16,
        "depth": 2,
        "num_heads": 2,
        "landmarks": 4,
        "projection_rank": 6,
        "random_features": 12,
    }
    return ModelConfig(**(values | changes))


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Return float64 numbers that are the same in every run."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.manual_seed(seed))


def relative_error(got: Tensor, wanted: Tensor) -> float:
    """Return the largest difference, relative to the largest entry."""
    assert got.shape == wanted.shape
    got, wanted = got.detach().double(), wanted.detach().double()
    return float((got - wanted).abs().max() / wanted.abs().max().clamp_min(1e-300))


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Return the rotated (b, h, n, e), x left as it is."""
    side_by_side = x.transpose(1, 2).flatten(2).clone()  # (b, n, h·e)
    return rotate_(side_by_side, table).unflatten(2, (x.shape[1], -1)).transpose(1, 2)


def randomise(module: torch.nn.Module) -> None:
    """Give every parameter values of its own, so that none is hidden by a start at zero or one."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            scale = max(1, parameter[0].numel()) ** -0.5 if parameter.ndim > 1 else 0.5
            noise = torch.randn(parameter.shape, generator=generator) * scale
            parameter.copy_(noise + (1 if parameter.ndim == 1 else 0))


def assert_same(
    got: Function, wanted: Function, x: Tensor, parameters: Sequence[Tensor], tolerance: float
) -> None:
    """Compare two functions of x: result, gradient of x, gradient of every parameter."""
    x = x.detach().requires_grad_()
    results = got(x), wanted(x)
    assert relative_error(*results) <= tolerance
    direction = normal(*results[0].shape, seed=2)
    gradients = [
        torch.autograd.grad((result * direction).sum(), (x, *parameters)) for result in results
    ]
    largest = max(gradient.abs().max() for gradient in gradients[1])
    for ours, theirs in zip(*gradients, strict=True):
        if theirs.abs().max() < 1e-12 * largest:  # cancels to nothing, as a bias before a norm can
            assert ours.abs().max() <= tolerance * largest
        else:
            assert relative_error(ours, theirs) <= tolerance
