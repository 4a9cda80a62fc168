"""Pixels to model input: the one normalisation of training, evaluation and prediction.

Letters: b pictures, c channels, (h, w) pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vixtui.data.tensors import Images
from vixtui.runs.weights import Preprocessing

_SAMPLE = 5_000
_AT_ONCE = 100


def measure(images: Images) -> Preprocessing:
    """Return mean and standard deviation a channel of (n, c, h, w) uint8 training pictures."""
    values = squares = torch.zeros(())
    count = 0
    for start in range(0, min(_SAMPLE, len(images)), _AT_ONCE):
        sample = images[start : min(start + _AT_ONCE, _SAMPLE)].double() / 255
        values = values + sample.sum((0, 2, 3))
        squares = squares + sample.square().sum((0, 2, 3))
        count += sample.numel() // sample.shape[1]
    mean = values / count
    std = ((squares - count * mean.square()) / (count - 1)).clamp_min(0).sqrt().clamp_min(1e-3)
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
