"""Weights files, good and bad: each bad one with the words that refuse it."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

from vixtui.models.config import ModelConfig
from vixtui.runs.weights import MAX_METADATA_BYTES, ModelCard, Preprocessing

CARD = ModelCard(
    title="vit:tiny",
    model=ModelConfig(
        token_mixer="softmax",
        embedding="linear",
        positions="none",
        image_height=8,
        image_width=8,
        in_channels=1,
        num_classes=2,
        patch_size=8,
        embed_dim=4,
        depth=1,
        num_heads=1,
        mlp_ratio=0.25,
    ),
    classes=("cat", "dog"),
    preprocessing=Preprocessing(mean=(0.5,), std=(0.25,)),
    metrics={"validation": {"top1": 0.5}},
    data={"source": "digits"},
    provenance={"seed": "0"},
)
TENSORS = {
    "a": {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]},
    "b": {"dtype": "F32", "shape": [], "data_offsets": [64, 68]},
}
DATA = bytes(68)


def container(header: bytes, data: bytes = DATA) -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def weights(
    tensors: dict[str, Any] | None = None, metadata: Any = None, data: bytes = DATA
) -> bytes:
    """Return a weights file with the given tensor table and metadata, or good ones."""
    table = {"__metadata__": CARD.to_metadata() if metadata is None else metadata}
    return container(json.dumps(table | (TENSORS if tensors is None else tensors)).encode(), data)


def described(**changes: Any) -> bytes:
    """Return a weights file whose description has some entries changed; None removes one."""
    card = json.loads(CARD.to_metadata()["vixtui"]) | changes
    kept = {name: value for name, value in card.items() if value is not None}
    return weights(metadata={"vixtui": json.dumps(kept)})


def model(**changes: Any) -> dict[str, Any]:
    return CARD.model.to_dict() | changes


def fine(**changes: Any) -> dict[str, Any]:
    """Return the description of a model with as many tokens as there may be."""
    return model(image_height=256, image_width=256, patch_size=1, **changes)


def tensor(*, data: bytes = DATA, **changes: Any) -> bytes:
    return weights(TENSORS | {"b": TENSORS["b"] | changes}, data=data)


def numbers(last: float) -> bytes:
    return weights(data=struct.pack("<17f", *range(16), last))


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "an empty file"),
    "7 bytes": (lambda: bytes(7), "damaged"),
    "only a length": (lambda: bytes(8), "damaged"),
    "length 2^63": (lambda: struct.pack("<Q", 2**63) + b"{}" * 50, "damaged"),
    "length beyond the file": (lambda: struct.pack("<Q", 500) + b"{}" * 50, "damaged"),
    "5 MB header": (lambda: container(b'{"a":"' + b" " * 5_000_000 + b'"}'), "header is too large"),
    "101 MB header": (
        lambda: struct.pack("<Q", 101_000_000) + bytes(101_000_000),
        "header is too large",
    ),
    "not JSON": (lambda: container(b"not JSON at all"), "damaged header"),
    "not UTF-8": (lambda: container(b'{"\xff\xfe": 1}'), "damaged header"),
    "a list": (lambda: container(b"[1, 2, 3]"), "damaged header"),
    "a number": (lambda: container(b"1234567890"), "damaged header"),
    "deep JSON": (lambda: container(b'{"a":' * 100_000), "damaged header"),
    "huge number": (lambda: container(b'{"a": ' + b"9" * 5000 + b"}"), "damaged header"),
    "duplicate keys": (
        lambda: container(b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":1}'),
        "a key stands twice",
    ),
    "pickle": (lambda: b"\x80\x04\x95" + bytes(100), "a pickle"),
    "torch.save": (lambda: b"PK\x03\x04" + bytes(range(100)), "a PyTorch or zip archive"),
    "web page": (lambda: b"<!DOCTYPE html><html>404</html>", "a web page"),
    "LFS pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "Git LFS pointer",
    ),
    "ONNX": (lambda: b"\x08\x07\x12\x07pytorch" + bytes(100), "an ONNX model"),
    "Keras": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "a Keras or HDF5 file"),
    "gzip": (lambda: b"\x1f\x8b\x08" + b"\xff" * 100, "a gzip archive"),
    "20 MB metadata": (lambda: weights(metadata={"a": "x" * 20_000_000}), "header is too large"),
    "much metadata": (lambda: weights(metadata={"a": "x" * MAX_METADATA_BYTES}), "too much"),
    "metadata are numbers": (lambda: weights(metadata={"vixtui": 5}), "damaged header"),
    "metadata are lists": (lambda: weights(metadata={"vixtui": ["x"]}), "damaged header"),
    "metadata are a text": (lambda: weights(metadata="vixtui"), "damaged header"),
    "100,000 tensors": (
        lambda: weights(
            {f"{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(10**5)}
        ),
        "header is too large",
    ),
    "10,001 tensors": (
        lambda: weights(
            {f"{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(10_001)}
        ),
        "too many tensors",
    ),
    "tensor is a list": (lambda: weights({"a": []}), "damaged header"),
    "no shape": (lambda: weights({"a": {"dtype": "F32"}}), "damaged header"),
    "negative shape": (lambda: tensor(shape=[-1, -1]), "impossible shape"),
    "fractional shape": (lambda: tensor(shape=[1.0]), "impossible shape"),
    "shape of text": (lambda: tensor(shape="1"), "impossible shape"),
    "shape overflow": (lambda: tensor(shape=[2**32, 2**32]), "impossible shape"),
    "shape [0, 2^60]": (lambda: tensor(shape=[0, 2**60]), "impossible shape"),
    "unknown dtype": (lambda: tensor(dtype="F33"), "unknown type"),
    "dtype is a list": (lambda: tensor(dtype=[]), "damaged header"),
    "offset past end": (lambda: tensor(data_offsets=[68, 72]), "do not fill"),
    "offsets reversed": (lambda: tensor(data_offsets=[68, 64]), "does not fit its place"),
    "offsets overlap": (lambda: tensor(data_offsets=[60, 64]), "do not fill"),
    "offsets leave a hole": (
        lambda: tensor(data_offsets=[68, 72], data=bytes(72)),
        "do not fill",
    ),
    "offsets are texts": (lambda: tensor(data_offsets=["64", "68"]), "damaged header"),
    "wrong size": (lambda: tensor(shape=[2]), "does not fit its place"),
    "trailing bytes": (lambda: weights(data=DATA + bytes(1)), "do not fill"),
    "cut short": (lambda: weights(data=DATA[:-8]), "do not fill"),
    "weights are NaN": (lambda: numbers(math.nan), "not finite"),
    "weights are -NaN": (lambda: numbers(-math.nan), "not finite"),
    "weights are endless": (lambda: numbers(-math.inf), "not finite"),
    "half precision": (
        lambda: tensor(dtype="F16", data_offsets=[64, 66], data=DATA[:66]),
        "not in single precision",
    ),
    "bfloat16": (
        lambda: tensor(dtype="BF16", data_offsets=[64, 66], data=DATA[:66]),
        "not in single precision",
    ),
    "no metadata": (lambda: container(json.dumps(TENSORS).encode()), "not a vixtui model"),
    "foreign metadata": (lambda: weights(metadata={"format": "pt"}), "not a vixtui model"),
    "card is no JSON": (lambda: weights(metadata={"vixtui": "{"}), "damaged model description"),
    "card is a list": (lambda: weights(metadata={"vixtui": "[]"}), "damaged model description"),
    "card has a key twice": (
        lambda: weights(metadata={"vixtui": '{"schema_version": 1, "schema_version": 1}'}),
        "a key stands twice",
    ),
    "card is deep": (
        lambda: weights(metadata={"vixtui": "[" * 100_000}),
        "damaged model description",
    ),
    "newer schema": (lambda: described(schema_version=2), r"schema 2 is unknown.*update vixtui"),
    "hostile schema": (lambda: described(schema_version="\x1b[2J"), "is unknown"),
    "no schema": (lambda: described(schema_version=None), "damaged model description"),
    "no classes": (lambda: described(classes=None), "damaged model description"),
    "no model": (lambda: described(model=None), "damaged model description"),
    "model is a text": (lambda: described(model="vit"), "damaged model description"),
    "wrong class count": (lambda: described(classes=["a", "b", "c"]), "do not match the model"),
    "same class twice": (lambda: described(classes=["a", "a"]), "do not match the model"),
    "classes are one text": (lambda: described(classes="ab"), "damaged model description"),
    "empty class name": (lambda: described(classes=["", "a"]), "unusable class name"),
    "endless class name": (lambda: described(classes=["x" * 256, "a"]), "unusable class name"),
    "class is a number": (lambda: described(classes=[1, 2]), "unusable class name"),
    "class is a list": (lambda: described(classes=[[], []]), "damaged model description"),
    "huge dims": (lambda: described(model=model(embed_dim=2**40)), "embed_dim must be between"),
    "huge sum of dims": (
        lambda: described(model=model(embed_dim=[2048] * 4, depth=[64] * 4, num_heads=[64] * 4)),
        "more weights than the file",
    ),
    "many stages": (
        lambda: described(model=model(embed_dim=[4] * 9**5, depth=[1] * 9**5)),
        "same number of stages",
    ),
    "no stages": (
        lambda: described(model=model(embed_dim=[], depth=[], num_heads=[])),
        "embed_dim must be a number",
    ),
    "nested stages": (lambda: described(model=model(depth=[[1]])), "depth must be a whole number"),
    "a stage is NaN": (
        lambda: described(model=model(embed_dim=[math.nan])),
        "embed_dim must be a whole number",
    ),
    "dim is negative": (lambda: described(model=model(embed_dim=-4)), "embed_dim must be between"),
    "dim is true": (lambda: described(model=model(depth=True)), "depth must be a number"),
    "share is endless": (
        lambda: described(model=model(landmarks=math.inf)),
        "landmarks must be between",
    ),
    "biases of n² offsets": (
        lambda: described(model=fine(positions="attention-bias")),
        "with .* numbers at once",
    ),
    "features of n² numbers": (
        lambda: described(model=fine(token_mixer="performer", num_heads=4, random_features=4096)),
        "with .* numbers at once",
    ),
    "weights of n² tokens": (
        lambda: described(model=fine(token_mixer="mlp")),
        "more weights than the file",
    ),
    "weights of rank·n": (
        lambda: described(model=fine(token_mixer="linformer", projection_rank=1024)),
        "more weights than the file",
    ),
    "huge picture": (lambda: described(model=model(image_height=10**6)), "image_height must be"),
    "dim is NaN": (lambda: described(model=model(mlp_ratio=math.nan)), "mlp_ratio must be"),
    "dim is a text": (lambda: described(model=model(depth="2")), "depth must be a whole number"),
    "unknown option": (lambda: described(model=model(**{"\x1b]0;": 1})), "unknown model option"),
    "zero deviation": (
        lambda: described(preprocessing={"mean": [0.5], "std": [0.0]}),
        "normalisation out of bounds",
    ),
    "mean is NaN": (
        lambda: described(preprocessing={"mean": [math.nan], "std": [1.0]}),
        "normalisation out of bounds",
    ),
    "mean is endless": (
        lambda: described(preprocessing={"mean": [10**400], "std": [1.0]}),
        "damaged model description",
    ),
    "mean is a text": (
        lambda: described(preprocessing={"mean": "5", "std": [1.0]}),
        "damaged model description",
    ),
    "three means for grey": (
        lambda: described(preprocessing={"mean": [0.5] * 3, "std": [1.0] * 3}),
        "does not match the model",
    ),
    "metric is endless": (
        lambda: described(metrics={"test": {"top1": 10**400}}),
        "damaged model description",
    ),
    "metrics are a list": (lambda: described(metrics=[1]), "damaged model description"),
}
