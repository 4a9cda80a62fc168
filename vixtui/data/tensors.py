"""The pictures of a split: as one tensor, or what can give some of them as one."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from vixtui.data import builtin
from vixtui.data.decode import to_tensor
from vixtui.data.examine import PictureFacts, examine
from vixtui.data.split import Item, Labelled
from vixtui.errors import DataError, DoesNotFitError
from vixtui.hardware.host import host_memory
from vixtui.runs.config import DataConfig
from vixtui.text import format_bytes

_CHUNK = 64


Rows = slice | Tensor


class Images(Protocol):
    """uint8 pictures (n, c, h, w), of which some at a time become a tensor."""

    def __len__(self) -> int:
        """Return n."""

    def __getitem__(self, rows: Rows, /) -> Tensor:
        """Return some pictures, (rows, c, h, w), in the order of `rows`."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Decoded pictures: uint8 (n, c, h, w), their int64 labels (n,), and which they are."""

    images: Images
    labels: Tensor
    items: tuple[Item, ...]


def load_pictures(
    data: DataConfig,
    items: Labelled,
    *,
    on_unusable: Callable[[str], None],
    on_usable: Callable[[Item, PictureFacts], None] | None = None,
    threads: int,
) -> Pictures:
    """Decode or draw pictures, in the order of `items`, at the size that the model sees.

    Args:
        data: where they come from, and height, width, channels.
        items: (picture, label) pairs.
        on_unusable: told one line, safe to show, for each picture left out, in order.
        on_usable: told of each picture from a file, in order.
        threads: decoders at a time.

    Raises:
        DataError: when there are items but not one can be used.
        DoesNotFitError: when the decoded pictures would need more than the free memory.
    """
    shape = (len(items), data.in_channels, data.image_height, data.image_width)
    _check_memory(shape)
    images = torch.empty(shape, dtype=torch.uint8)

    def load_chunk(start: int) -> list[PictureFacts | DataError | None]:
        """Fill one stretch of `images`; return what is known, picture by picture."""
        known: list[PictureFacts | DataError | None] = []
        for index in range(start, min(start + _CHUNK, len(items))):
            try:
                image, facts = load_picture(data, items[index][0])
                images[index] = to_tensor(image)
                known.append(facts)
            except DataError as error:
                known.append(error)
        return known

    with ThreadPoolExecutor(max(1, threads)) as pool:
        chunks = pool.map(load_chunk, range(0, len(items), _CHUNK))
        known = [entry for chunk in chunks for entry in chunk]
    kept: list[int] = []
    problems: list[DataError] = []
    for index, entry in enumerate(known):
        if isinstance(entry, DataError):
            problems.append(entry)
            on_unusable(entry.message)
            continue
        kept.append(index)
        if entry is not None and on_usable is not None:
            on_usable(items[index][0], entry)
    if items and not kept:
        raise DataError(
            f"none of {len(items):,} pictures can be used",
            where=data.source,
            remedy=f"the first is {problems[0].what} ({problems[0].where})",
        )
    return Pictures(
        images=images if len(kept) == len(items) else images[kept],
        labels=torch.tensor([items[index][1] for index in kept], dtype=torch.int64),
        items=tuple(items[index][0] for index in kept),
    )


def load_picture(data: DataConfig, item: Item) -> tuple[Image.Image, PictureFacts | None]:
    """Decode or draw one picture; a file's facts come with it.

    Raises:
        DataError: when it cannot be used.
    """
    height, width, grey = data.image_height, data.image_width, data.in_channels == 1
    if builtin.is_builtin(data.source):
        image = builtin.draw(data.source, item, height=height, width=width)
        return image.convert("L" if grey else "RGB"), None
    path = os.path.join(data.source, str(item))
    return examine(path, height=height, width=width, grey=grey)


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
