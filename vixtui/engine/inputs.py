"""Pixels to model input: the one normalisation of training, evaluation and prediction.

Letters: b pictures, c channels, (h, w) pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vixtui.runs.weights import Preprocessing

_SAMPLE = 5_000


def measure(images: Tensor) -> Preprocessing:
    """Return mean and standard deviation a channel of (n, c, h, w) uint8 training pictures."""
    sample = images[:_SAMPLE].float() / 255
    mean, std = sample.mean((0, 2, 3)), sample.std((0, 2, 3)).clamp_min(1e-3)
    return Preprocessing(
        mean=tuple(round(value, 6) for value in mean.tolist()),
        std=tuple(round(value, 6) for value in std.tolist()),
    )


class Normalise:
    """Callable that shifts and scales (b, c, h, w) values in [0, 1] by a preprocessing."""

    def __init__(self, preprocessing: Preprocessing, device: torch.device) -> None:
        self._mean = torch.tensor(preprocessing.mean, device=device)[:, None, None]
        self._std = torch.tensor(preprocessing.std, device=device)[:, None, None]

    def __call__(self, values: Tensor) -> Tensor:
        """(b, c, h, w) float32 in [0, 1] → normalised."""
        return (values - self._mean) / self._std

    def pixels(self, images: Tensor) -> Tensor:
        """(b, c, h, w) uint8 on any device → normalised float32 on this one's."""
        return self(images.to(self._mean.device).float() / 255)
