"""One picture looked at closely: what it is, what had to be done to it, what it equals."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from PIL import Image
from PIL.ImageFile import ImageFile

from vixtui.data.findings import Kind
from vixtui.data.pictures import DEEP_MODES, decoded, opened, turn_of

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What there is to know of a usable picture.

    Args:
        width, height: in pixels, upright.
        kinds: what it is and what had to be done to it, of `Kind`.
        content: hash of the file's bytes.
        pixels: hash of the decoded picture at the size and depth that the model sees. Equal for
            copies, for other metadata and for lossless conversion of pictures that are not
            scaled; not for a picture compressed again, cropped, turned or retouched. That of the
            file where the picture is blank, since blank pictures may come from anywhere.
    """

    width: int
    height: int
    kinds: tuple[Kind, ...]
    content: bytes
    pixels: bytes


def examine(
    path: str | os.PathLike[str], *, height: int, width: int, grey: bool = False
) -> tuple[Image.Image, PictureFacts]:
    """Return a picture exactly as `vixtui.data.pictures.read_picture` does, and facts about it.

    Args:
        path: of a picture file.
        height, width: of the model's input in pixels.
        grey: return ``L`` instead of ``RGB``.

    Raises:
        DataError: when the file cannot be used; says what it is.
    """
    path = os.fspath(path)
    with opened(path) as image:
        size, deep = image.size, _is_deep(image)
        picture = decoded(image, height=height, width=width, grey=grey)
        turn = turn_of(image)
        kinds = {
            Kind.ROTATED: turn is not None,
            Kind.DEEP: deep,
            Kind.ALPHA: image.has_transparency_data,
            Kind.CMYK: image.mode == "CMYK",
            Kind.ANIMATED: _is_animated(image),
            Kind.BLANK: _is_blank(picture),
        }
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, _digest).digest()
    if turn in _ON_ITS_SIDE:
        size = size[::-1]
    facts = PictureFacts(
        width=size[0],
        height=size[1],
        kinds=tuple(kind for kind, found in kinds.items() if found),
        content=content,
        pixels=content if kinds[Kind.BLANK] else _digest(picture.tobytes()).digest(),
    )
    return picture, facts


_ON_ITS_SIDE = frozenset(
    {
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_90,
        Image.Transpose.ROTATE_270,
        Image.Transpose.TRANSVERSE,
    }
)


def _digest(content: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES, usedforsecurity=False)


def _is_deep(image: Image.Image) -> bool:
    """Tell whether a picture not yet loaded has more than eight bits a channel."""
    if image.mode in DEEP_MODES:
        return True
    if image.format not in ("PNG", "TIFF"):
        return False
    # ``RGB;16B`` alone, or as the first of several arguments.
    tiles = image.tile if isinstance(image, ImageFile) else []
    layouts = (tile.args[0] if isinstance(tile.args, tuple) else tile.args for tile in tiles)
    return any(";16" in str(layout) for layout in layouts)


def _is_blank(picture: Image.Image) -> bool:
    """Tell whether all pixels have the same colour."""
    return all(low == high for low, high in (band.getextrema() for band in picture.split()))


def _is_animated(image: Image.Image) -> bool:
    """Tell whether there is a second frame; asked last, since looking for it moves on to it."""
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged second frame is one too
        return True
