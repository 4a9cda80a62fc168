"""A picture file as a tensor."""

from __future__ import annotations

import os

import torch
from PIL import Image
from torch import Tensor

from vixtui.data.pictures import read_picture


def decode(path: str | os.PathLike[str], *, height: int, width: int, channels: int) -> Tensor:
    """Return a picture as the model sees it before normalisation, uint8 (c, h, w).

    Args:
        path: of a picture file.
        height, width: in pixels.
        channels: 1 (grey) or 3 (RGB).

    Raises:
        DataError: when the file cannot be used; says what it is.
    """
    image = read_picture(os.fspath(path), height=height, width=width, grey=channels == 1)
    return to_tensor(image)


def to_tensor(image: Image.Image) -> Tensor:
    """Return an ``L`` or ``RGB`` image as uint8 (c, h, w)."""
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(image.height, image.width, -1).permute(2, 0, 1)  # (h, w, c) → (c, h, w)
