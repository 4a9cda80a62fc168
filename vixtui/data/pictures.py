"""Picture files opened with care: what they are, and how they become plain grey or colour.

Training, evaluation, prediction and previews all come through here, so that they see the same
pixels. Only regular files in six formats are opened, and none above 64 megapixels.
"""

from __future__ import annotations

import codecs
import math
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# The two plug-ins are loaded here, once, since Pillow would load them in the middle of a thread.
from PIL import (  # noqa: F401
    Image,
    ImageOps,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from vixtui.data.scan import special
from vixtui.data.silence import reading
from vixtui.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 64_000_000
_REMEDY = "remove it, or save it as JPEG or PNG"
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
DEEP_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
_BINARY_KINDS = (
    (b"\xff\xd8", "a damaged JPEG"),
    (b"\x89PNG", "a damaged PNG"),
    (b"GIF8", "a damaged GIF"),
    (b"RIFF", "a damaged WebP or another RIFF file"),
    (b"II*\0", "a damaged TIFF"),
    (b"MM\0*", "a damaged TIFF"),
    (b"P6\n", "a PPM"),
    (b"PK\3\4", "a ZIP archive"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
)
_TEXT_KINDS = (
    ("<svg", "SVG"),
    ("<?xml", "XML or SVG"),
    ("<!doctype html", "a web page (HTML)"),
    ("<html", "a web page (HTML)"),
    ("%!ps", "PostScript"),
    ("%pdf", "a PDF"),
    ("simple  =", "FITS"),
    ("version https://git-lfs", "a Git LFS pointer"),
)

# Pillow refuses pictures of more than twice this, also when a frame inside claims to be larger.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
# What Pillow has to say about a file is said by the error that names the file, or is harmless.
warnings.filterwarnings("ignore", module=r"PIL\.")


def read_header(path: str) -> tuple[int, int, bool]:
    """Return width and height in pixels as stored, and whether the picture is grey.

    Raises:
        DataError: when the file is no picture; nothing is decoded.
    """
    with opened(path) as image:
        return image.width, image.height, image.mode in _GREY_MODES


def read_picture(
    path: str, *, height: int | None = None, width: int | None = None, grey: bool = False
) -> Image.Image:
    """Return a file's first frame as 8-bit grey (``L``) or colour (``RGB``), upright.

    Transparent pixels are white; 16-bit and float values are scaled to 8 bit. With `height` and
    `width` the picture is scaled to cover them and its centre cut out, see `fit`.

    Args:
        path: of a regular file.
        height, width: in pixels, both or neither.
        grey: return ``L`` instead of ``RGB``.

    Raises:
        DataError: when the file cannot be used; says what it is.
    """
    with opened(path) as image:
        return decoded(image, height=height, width=width, grey=grey)


def decoded(
    image: Image.Image, *, height: int | None = None, width: int | None = None, grey: bool = False
) -> Image.Image:
    """Return an opened picture as `read_picture` does; whatever fails is raised as it comes."""
    if height and width:
        side = 2 * max(height, width)
        image.draft(None, (side, side))
    image.load()
    plain = _upright(_plain(image), image).convert("L" if grey else "RGB")
    return fit(plain, height=height, width=width) if height and width else plain


def fit(image: Image.Image, *, height: int, width: int) -> Image.Image:
    """Return a picture scaled to cover (height, width) with its centre cut out.

    The scale is bicubic and antialiased; a picture a whole number of times too large becomes the
    means of its blocks, so that an enlarged picture turns back into what it was.
    """
    if image.size == (width, height):
        return image
    factor = image.width // width
    if factor > 1 and image.size == (factor * width, factor * height):
        return image.reduce(factor)
    return ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)


@contextmanager
def opened(path: str) -> Iterator[Image.Image]:
    """Open a picture; whatever goes wrong inside the block is a `DataError` that names it.

    Raises:
        DataError: when the file cannot be used; says what it is.
    """
    try:
        with reading(path):
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):
                what = f"not a regular file but {special(status)}"
                raise DataError(what, where=path, remedy="remove it")
            if status.st_size == 0:
                raise DataError("not a picture but an empty file", where=path, remedy="remove it")
            with Image.open(path, formats=FORMATS) as image:
                yield image
    except DataError:
        raise
    except UnidentifiedImageError as error:
        what = f"not a picture but {_kind(path)}"
        raise DataError(what, where=path, remedy=_REMEDY) from error
    except Image.DecompressionBombError as error:
        what = f"more than {MAX_PIXELS // 1_000_000} megapixels"
        raise DataError(what, where=path, remedy="make it smaller") from error
    except MemoryError as error:
        what = "too large for the free memory"
        raise DataError(what, where=path, remedy="make it smaller") from error
    except Exception as error:  # Pillow's readers raise a dozen kinds for damaged files
        what, remedy = _failure(error)
        raise DataError(what, where=path, remedy=remedy) from error


def _failure(error: Exception) -> tuple[str, str]:
    """Return what an exception means to the picture's owner, and what helps."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.strerror or "cannot be read", "check the path and its permissions"
    text = str(error) or type(error).__name__
    if "MAX_TEXT" in text:
        return "a text or colour profile in it unpacks to too much", _REMEDY
    if "truncated" in text or "Truncated" in text:
        return "the picture is cut off (truncated)", _REMEDY
    return f"the picture is damaged: {text[:120]}", _REMEDY


def _kind(path: str) -> str:
    """Return in words what a file that is no picture looks like."""
    with open(path, "rb") as file:
        head = file.read(512)
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "HEIC, AVIF or video")
    for magic, kind in _BINARY_KINDS:
        if head.startswith(magic):
            return kind
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return "data of an unknown kind"
    if not all(char.isprintable() or char.isspace() for char in text):
        return "data of an unknown kind"
    start = text.lstrip().lower()
    return next((kind for magic, kind in _TEXT_KINDS if start.startswith(magic)), "text")


def _plain(image: Image.Image) -> Image.Image:
    """Return `image` in mode L or RGB: depth scaled, transparency on white."""
    if image.mode in DEEP_MODES:
        return _eight_bit(image)
    if image.has_transparency_data:
        grey = image.mode in _GREY_MODES
        colours = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, colours).convert("L" if grey else "RGB")
    return image.convert("L" if image.mode in _GREY_MODES else "RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit and float grey values to 0…255 by the range their type implies.

    Integers: 0…65535, or the largest value where that is more. Floats: 0…1, else 0…255, else
    0…65535, else the largest value.
    """
    wide = image if image.mode == "F" else image.convert("I")
    low, high = (float(value) for value in wide.getextrema())  # type: ignore[arg-type]
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("values that are not finite")
    ranges = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    full = next((bound for bound in ranges if high <= bound), high)
    return wide.convert("F").point(lambda value: value * (255 / full) + 0.5).convert("L")


def _upright(plain: Image.Image, image: Image.Image) -> Image.Image:
    """Turn `plain` as the camera's EXIF note in `image` says; damaged notes are not obeyed."""
    turn = turn_of(image)
    return plain if turn is None else plain.transpose(turn)


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """Return how an opened picture is turned upright, if it is not."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # EXIF readers raise whatever the damage leads to
        return None
