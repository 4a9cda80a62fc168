"""The data sets that need no download: ``digits`` (shipped) and ``shapes`` (drawn).

``digits`` is the UCI optical recognition of handwritten digits test set: 1,797 grey pictures of
8×8 pixels. ``shapes`` is drawn by seed at any size, see `vixtui.data.shapes`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vixtui.data import shapes
from vixtui.data.split import Item, Split, stratified_split
from vixtui.errors import DataError
from vixtui.paths import assets_dir

if TYPE_CHECKING:
    from PIL import Image

NAMES = ("digits", "shapes")
DIGIT_SIDE = 8
_VALIDATION_FRACTION = 0.1
_TEST_FRACTION = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltinSet:
    """A built-in set; the fields are those of `vixtui.data.sources.DataSource`.

    Args:
        split: from a seed to who trains, validates, tests.
        draw: from an item, a height and a width in pixels to the picture.
    """

    source: str
    classes: tuple[str, ...]
    image_size: int
    in_channels: int
    fingerprint: str
    horizontal_flip: bool
    split: Callable[[int], Split]
    draw: Callable[[int, int, int], Image.Image]


def is_builtin(source: str) -> bool:
    """Tell whether `source` names a built-in set rather than a folder."""
    return source.partition(":")[0] == "shapes" or source == "digits"


def builtin_set(source: str) -> BuiltinSet:
    """Return the built-in set that `source` names.

    Raises:
        UsageError: for unknown options of ``shapes``.
        DataError: when the shipped digits are missing or damaged.
    """
    return _digits() if source == "digits" else _shapes(source)


def draw(source: str, item: Item, *, height: int, width: int) -> Image.Image:
    """Return a picture of a built-in set as Pillow image, ``L`` for digits, ``RGB`` for shapes.

    Raises:
        DataError: when the set has no such picture.
    """
    if not isinstance(item, int) or item < 0:
        raise DataError(f"no picture {item}", where=source, remedy="pictures are numbered from 0")
    return builtin_set(source).draw(item, height, width)


@cache
def _digits() -> BuiltinSet:
    pixels, labels = read_digits(assets_dir() / "digits.safetensors")

    def split(seed: int) -> Split:
        return stratified_split(
            list(enumerate(labels)),
            validation=_VALIDATION_FRACTION,
            test=_TEST_FRACTION,
            seed=seed,
        )

    def draw_digit(index: int, height: int, width: int) -> Image.Image:
        from PIL import Image

        from vixtui.data.pictures import fit

        if index >= len(labels):
            raise DataError(
                f"no picture {index}", where="digits", remedy=f"there are {len(labels):,}"
            )
        area = DIGIT_SIDE * DIGIT_SIDE
        content = pixels[index * area : (index + 1) * area]
        digit = Image.frombytes("L", (DIGIT_SIDE, DIGIT_SIDE), content)
        return fit(digit, height=height, width=width)

    return BuiltinSet(
        source="digits",
        classes=tuple("0123456789"),
        image_size=DIGIT_SIDE,
        in_channels=1,
        fingerprint=hashlib.sha256(pixels + labels).hexdigest(),
        horizontal_flip=False,
        split=split,
        draw=draw_digit,
    )


@cache
def _shapes(source: str) -> BuiltinSet:
    options = shapes.parse_options(source)
    return BuiltinSet(
        source=options.source,
        classes=shapes.CLASSES,
        image_size=shapes.DEFAULT_SIDE,
        in_channels=3,
        fingerprint=hashlib.sha256(f"{shapes.VERSION} {options}".encode()).hexdigest(),
        horizontal_flip=True,
        split=lambda _: shapes.split(options),
        draw=lambda index, height, width: shapes.draw(options, index, height=height, width=width),
    )


def read_digits(path: Path) -> tuple[bytes, bytes]:
    """Return pixels (n·8·8 bytes) and labels (n bytes) without a tensor library.

    A safetensors file is eight bytes of header length, a JSON header, and the tensors' bytes.

    Raises:
        DataError: when the file is missing or not as it was shipped.
    """
    try:
        content = path.read_bytes()
        body = 8 + int.from_bytes(content[:8], "little")
        header: dict[str, Any] = json.loads(content[8:body])
        pixels, labels = (
            content[body + start : body + end]
            for start, end in (header[name]["data_offsets"] for name in ("images", "labels"))
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(path) from error
    if not labels or len(pixels) != len(labels) * DIGIT_SIDE**2 or max(labels) > 9:
        raise _broken(path)
    return pixels, labels


def _broken(path: Path) -> DataError:
    return DataError("the shipped digits cannot be read", where=path, remedy="reinstall vixtui")
