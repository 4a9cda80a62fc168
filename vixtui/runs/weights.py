"""The weights file seen from outside: its header, checked without loading a single tensor.

One safetensors file is enough to predict. Its metadata hold one JSON text under ``vixtui``: the
model, the class names, the preprocessing, the metrics and where they come from.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vixtui.errors import UsageError, WeightsError
from vixtui.models.config import ModelConfig
from vixtui.paths import command
from vixtui.runs.bounds import check_size, least_weights

SCHEMA_VERSION = 1
METADATA_KEY = "vixtui"
MAX_METADATA_BYTES = 1_000_000
_MAX_HEADER_BYTES = 3_000_000  # parsed, the worst takes 150 MB
_MAX_TENSORS = 10_000
_MAX_SIDE = 2**31
_MAX_AXES = 8
MAX_CLASS_NAME = 255

_LOOKALIKES = (
    (rb"PK\x03\x04", "a PyTorch or zip archive, which may run code when loaded"),
    (rb"\x80", "a pickle, which may run code when loaded"),
    (rb"\s*<", "a web page, perhaps of a failed download"),
    (rb"version https://git-lfs", "a Git LFS pointer; fetch the file itself with 'git lfs pull'"),
    (rb"\x1f\x8b", "a gzip archive"),
    (rb"\x08.[\x12\x1a]", "an ONNX model"),
    (rb"\x89HDF", "a Keras or HDF5 file"),
)
_FOREIGN_NAMES = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), "a PyTorch file"),
    **dict.fromkeys((".pkl", ".pickle"), "a pickle"),
    **dict.fromkeys((".h5", ".keras"), "a Keras file"),
    ".onnx": "an ONNX model",
}
_CHUNK_BYTES = 2**20

_NUMBER_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "BOOL": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1,
}  # fmt: skip
_REMEDY = "use a model.safetensors of vixtui"
# What unfit JSON makes the reading code below raise.
_UNFIT = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """How a picture becomes the model's input, the same for training and prediction.

    Decoding applies EXIF rotation, composites transparency on white, scales deeper pixels to 8
    bits; the shorter side is resized to the input size, the middle is cut out, values are scaled
    to [0, 1] and normalised by `mean` and `std`, one number a channel.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """What a weights file says about itself.

    Args:
        title: preset it was trained from.
        model: its architecture.
        classes: names in label order; outside text, not yet safe to show.
        preprocessing: see there.
        metrics: by split: ``{"validation": {"top1": …, "images": …}}``.
        data: source and fingerprint of the training pictures.
        provenance: versions and seed.
    """

    title: str
    model: ModelConfig
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    metrics: dict[str, dict[str, float]]
    data: dict[str, str]
    provenance: dict[str, str]

    def to_metadata(self) -> dict[str, str]:
        """Return safetensors metadata that `read_card` reads back."""
        card = {
            "schema_version": SCHEMA_VERSION,
            "title": self.title,
            "model": self.model.to_dict(),
            "classes": self.classes,
            "preprocessing": {
                "mean": self.preprocessing.mean,
                "std": self.preprocessing.std,
                "rule": "exif, alpha on white, 8 bit, resize shorter side, centre crop",
            },
            "metrics": self.metrics,
            "data": self.data,
            "provenance": self.provenance,
        }
        # One key only: safetensors writes several in any order, and equal weights shall be
        # equal files.
        return {METADATA_KEY: json.dumps(card, sort_keys=True)}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor as the header announces it."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> tuple[dict[str, str], dict[str, TensorEntry]]:
    """Return metadata and tensors of a safetensors file, bounded before anything is allocated.

    Raises:
        UsageError: when there is no such file.
        WeightsError: when it is something else, damaged, or unreasonable.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise WeightsError(f"{kind}, no weights", where=path, remedy=_REMEDY)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(64)
            length = int.from_bytes(start[:8], "little")
            if size < 10 or length > size - 8:
                raise _foreign(path, start)
            if length > _MAX_HEADER_BYTES:
                raise WeightsError("the header is too large", where=path, remedy=_REMEDY)
            file.seek(8)
            header = file.read(length)
    except FileNotFoundError as error:
        remedy = f"see '{command('runs', 'list')}'"
        raise UsageError("no such file", where=path, remedy=remedy) from error
    except OSError as error:
        raise UsageError(f"cannot read: {error.strerror}", where=path) from error
    try:
        table = json.loads(header, object_pairs_hook=_unique)
        metadata = table.pop("__metadata__", {})
        if len(table) > _MAX_TENSORS:
            raise ValueError("too many tensors")
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("metadata that are no text")
        if sum(len(key) + len(value) for key, value in metadata.items()) > MAX_METADATA_BYTES:
            raise ValueError("too much metadata")
        tensors = {name: _tensor(entry) for name, entry in table.items()}
        _check_places([entry["data_offsets"] for entry in table.values()], size - 8 - length)
    except _UNFIT as error:
        raise WeightsError(f"damaged header: {_reason(error)}", where=path) from error
    return metadata, tensors


def _foreign(path: Path, start: bytes) -> WeightsError:
    """Return the error for a file that begins like no safetensors file, saying what it is."""
    if not start:
        return WeightsError("an empty file", where=path, remedy=_REMEDY)
    # What is cut short may begin with any length; text and other formats begin with a huge one.
    foreign = int.from_bytes(start[:8], "little") > _MAX_HEADER_BYTES
    for pattern, name in _LOOKALIKES:
        if foreign and re.match(pattern, start, re.DOTALL):
            return WeightsError(f"not a safetensors file but {name}", where=path, remedy=_REMEDY)
    if name := _FOREIGN_NAMES.get(path.suffix.lower(), ""):
        name = f", by its name {name}"
    return WeightsError(f"damaged or not a safetensors file{name}", where=path, remedy=_REMEDY)


def _tensor(entry: dict[str, Any]) -> TensorEntry:
    """Return an announced tensor whose place has the size of its shape."""
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    if not (isinstance(shape, list) and len(shape) <= _MAX_AXES):
        raise ValueError("impossible shape")
    if not all(type(side) is int and 0 <= side <= _MAX_SIDE for side in shape):
        raise ValueError("impossible shape")
    if entry["dtype"] not in _NUMBER_BYTES:
        raise ValueError("unknown type of numbers")
    if end - begin != math.prod(shape) * _NUMBER_BYTES[entry["dtype"]]:
        raise ValueError("a tensor does not fit its place")
    return TensorEntry(entry["dtype"], tuple(shape))


def _check_places(places: list[list[int]], data_bytes: int) -> None:
    """Make sure that the tensors lie side by side from the first to the last byte."""
    filled = 0
    for begin, end in sorted(places):
        if begin != filled:
            break
        filled = end
    else:
        if filled == data_bytes:
            return
    raise ValueError("the tensors do not fill the file exactly")


def read_card(path: Path) -> ModelCard:
    """Return what a weights file says about itself, every value bounded.

    Raises:
        UsageError: when there is no such file.
        WeightsError: when it is no vixtui model that this version understands.
    """
    metadata, tensors = read_header(path)
    if METADATA_KEY not in metadata:
        raise WeightsError(
            "safetensors, but not a vixtui model",
            where=path,
            remedy=f"train one with '{command('train')}'",
        )
    try:
        card: Any = json.loads(metadata[METADATA_KEY], object_pairs_hook=_unique)
        if card["schema_version"] != SCHEMA_VERSION:
            raise WeightsError(
                f"schema {card['schema_version']} is unknown", where=path, remedy="update vixtui"
            )
        model = ModelConfig.from_dict(card["model"])
        check_size(model)
        if least_weights(model) > sum(math.prod(entry.shape) for entry in tensors.values()):
            raise ValueError("the model has more weights than the file")
        return ModelCard(
            title=str(card["title"])[:200],
            model=model,
            classes=_classes(card["classes"], model),
            preprocessing=Preprocessing(
                mean=_channels(card["preprocessing"]["mean"], model, low=-1.0),
                std=_channels(card["preprocessing"]["std"], model, low=1e-6),
            ),
            metrics={
                str(split): {str(key): float(value) for key, value in values.items()}
                for split, values in card["metrics"].items()
            },
            data={str(key): str(value) for key, value in card["data"].items()},
            provenance={str(key): str(value) for key, value in card["provenance"].items()},
        )
    except _UNFIT as error:
        raise WeightsError(f"damaged model description: {_reason(error)}", where=path) from error


def check_weights(path: Path) -> ModelCard:
    """Read a weights file as far as that needs no model, numbers included; return its card.

    Raises:
        UsageError: when there is no such file.
        WeightsError: when it cannot be trusted or understood.
    """
    card = read_card(path)
    _, tensors = read_header(path)
    if any(entry.dtype != "F32" for entry in tensors.values()):
        raise WeightsError("the weights are not in single precision", where=path)
    try:
        with path.open("rb") as file:
            file.seek(8 + int.from_bytes(file.read(8), "little"))
            while chunk := file.read(_CHUNK_BYTES):
                # Sign and upper exponent, the last byte of a number: only infinities, NaN and
                # what is beyond 2^127 have every bit of that exponent set.
                upper = chunk[3::4]
                if b"\x7f" in upper or b"\xff" in upper:
                    raise WeightsError("the weights hold numbers that are not finite", where=path)
    except OSError as error:
        raise WeightsError(f"cannot read: {error.strerror}", where=path) from error
    return card


def _classes(names: Any, model: ModelConfig) -> tuple[str, ...]:
    classes = tuple(_list(names))
    if len(classes) != model.num_classes or len(set(classes)) != len(classes):
        raise ValueError("the class names do not match the model")
    if not all(isinstance(name, str) and 0 < len(name) <= MAX_CLASS_NAME for name in classes):
        raise ValueError("an unusable class name")
    return classes


def _channels(values: Any, model: ModelConfig, *, low: float) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in _list(values))
    if len(numbers) != model.in_channels:
        raise ValueError("normalisation does not match the model")
    if not all(math.isfinite(number) and low <= number <= 10 for number in numbers):
        raise ValueError("normalisation out of bounds")
    return numbers


def _list(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise ValueError("not a list")
    return values


def _reason(error: Exception) -> str:
    """Return for people what reading unfit JSON has raised."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error) if isinstance(error, ValueError) else "an entry of the wrong kind"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")
    return table
