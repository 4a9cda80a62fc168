"""All pictures of a split in one tensor: decoded once, kept as bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from vixtui.data import builtin
from vixtui.data.decode import decode, to_tensor
from vixtui.data.split import Item, Labelled
from vixtui.errors import DataError, DoesNotFitError
from vixtui.hardware.host import host_memory
from vixtui.runs.config import DataConfig
from vixtui.text import format_bytes

_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Pictures:
    """Decoded pictures: uint8 (n, c, h, w), their int64 labels (n,), and which they are."""

    images: Tensor
    labels: Tensor
    items: tuple[Item, ...]


def load_pictures(
    data: DataConfig, items: Labelled, *, on_unusable: Callable[[str], None], threads: int
) -> Pictures:
    """Decode or draw pictures, in the order of `items`, at the size that the model sees.

    Args:
        data: where they come from, and height, width, channels.
        items: (picture, label) pairs.
        on_unusable: told one line, safe to show, for each picture left out, in order.
        threads: decoders at a time.

    Raises:
        DataError: when there are items but not one can be used.
        DoesNotFitError: when the decoded pictures would need more than the free memory.
    """
    shape = (len(items), data.in_channels, data.image_height, data.image_width)
    _check_memory(shape)
    images = torch.empty(shape, dtype=torch.uint8)

    def load_chunk(start: int) -> list[DataError | None]:
        """Fill one stretch of `images`; return what went wrong, picture by picture."""
        problems: list[DataError | None] = []
        for index in range(start, min(start + _CHUNK, len(items))):
            try:
                images[index] = _load(data, items[index][0])
                problems.append(None)
            except DataError as error:
                problems.append(error)
        return problems

    with ThreadPoolExecutor(max(1, threads)) as pool:
        chunks = pool.map(load_chunk, range(0, len(items), _CHUNK))
        problems = [problem for chunk in chunks for problem in chunk]
    for problem in filter(None, problems):
        on_unusable(problem.message)
    kept = [index for index, problem in enumerate(problems) if problem is None]
    if items and not kept:
        raise DataError(
            f"none of {len(items):,} pictures can be used",
            where=data.source,
            remedy=_first(problems),
        )
    return Pictures(
        images=images if len(kept) == len(items) else images[kept],
        labels=torch.tensor([items[index][1] for index in kept], dtype=torch.int64),
        items=tuple(items[index][0] for index in kept),
    )


def _load(data: DataConfig, item: Item) -> Tensor:
    height, width = data.image_height, data.image_width
    if builtin.is_builtin(data.source):
        image = builtin.draw(data.source, item, height=height, width=width)
        return to_tensor(image.convert("L" if data.in_channels == 1 else "RGB"))
    path = os.path.join(data.source, str(item))
    return decode(path, height=height, width=width, channels=data.in_channels)


def _check_memory(shape: tuple[int, int, int, int]) -> None:
    needed = shape[0] * shape[1] * shape[2] * shape[3]
    free = host_memory()[1].bytes
    if needed > free:
        raise DoesNotFitError(
            f"{shape[0]:,} decoded pictures need {format_bytes(needed)},"
            f" free are {format_bytes(free)}",
            where=f"{shape[3]}×{shape[2]} pixels",
            remedy="choose a smaller --image-size",
        )


def _first(problems: list[DataError | None]) -> str:
    problem = next(filter(None, problems))
    return f"the first is {problem.what} ({problem.where})"
