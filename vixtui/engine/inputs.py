"""Pixels to model input: the one normalisation of training, evaluation and prediction.

Letters: b pictures, c channels, (h, w) pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from vixtui.data.tensors import Images, Rows
from vixtui.engine.distributed import ALONE, Group
from vixtui.runs.weights import Preprocessing

_SAMPLE = 5_000
_READ_AT_ONCE = 32
# Each takes 8 bytes, three times over.
_VALUES_AT_ONCE = 2**18
# 64 pictures of 32 pixels are augmented in 1.7 instead of 2.1 ms by two quiet cores.
_WORTH_SHARING = 2**17


def measure(images: Images, group: Group = ALONE) -> Preprocessing:
    """Return mean and standard deviation a channel of (n, c, h, w) uint8 training pictures.

    Each process of the group looks at its share of them.
    """
    seen, (channels, height, width) = min(_SAMPLE, len(images)), images[:0].shape[1:]
    rows, count = group.rows(seen), seen * height * width
    values, squares = torch.zeros(2, channels, dtype=torch.float64)
    starts = range(rows.start, rows.stop, _READ_AT_ONCE)
    parts = (slice(start, min(start + _READ_AT_ONCE, rows.stop)) for start in starts)
    for few in few_at_a_time(images, parts):
        sample = few.double() / 255
        values += sample.sum((0, 2, 3))
        squares += sample.square().sum((0, 2, 3))
    group.add_up([values, squares])
    mean = values / count
    std = ((squares - count * mean.square()) / (count - 1)).clamp_min(0).sqrt().clamp_min(1e-3)
    return Preprocessing(
        mean=tuple(round(value, 6) for value in mean.tolist()),
        std=tuple(round(value, 6) for value in std.tolist()),
    )


def few_at_a_time(images: Images, parts: Iterable[Rows]) -> Iterator[Tensor]:
    """Yield (b, c, h, w) uint8 pictures of some `parts`, so few that copies take little memory."""
    channels, height, width = images[:0].shape[1:]
    at_once = max(1, _VALUES_AT_ONCE // (channels * height * width))
    for part in parts:
        yield from images[part].split(at_once)


@contextmanager
def enough_threads(values: int) -> Iterator[None]:
    """Compute on one thread inside where so few `values` are changed that others only hold it up.

    An engine's threads sleep when they wait, and to wake one takes as long as it then saves; on a
    busy machine longer.
    """
    threads = torch.get_num_threads()
    if values >= _WORTH_SHARING or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Normalise:
    """Callable that shifts and scales (b, c, h, w) values in [0, 1] by a preprocessing, in place.

    In place, since a batch is made for the model alone, and is the largest tensor on its way there.
    """

    def __init__(self, preprocessing: Preprocessing, device: torch.device) -> None:
        self._mean = torch.tensor(preprocessing.mean, device=device)[:, None, None]
        self._scale = 1 / torch.tensor(preprocessing.std, device=device)[:, None, None]

    def __call__(self, values: Tensor) -> Tensor:
        """(b, c, h, w) float32 in [0, 1] → the same tensor, normalised."""
        return values.sub_(self._mean).mul_(self._scale)

    def pixels(self, images: Tensor) -> Tensor:
        """(b, c, h, w) uint8 on any device → normalised float32 on this one's."""
        return self(images.to(self._mean.device).float().div_(255))
