"""A weights file from a stranger: understood, or refused in one line and at once."""

from __future__ import annotations

import json
import math
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vixtui.errors import UsageError, WeightsError
from vixtui.models.config import ModelConfig
from vixtui.presets import all_presets, preset
from vixtui.runs.bounds import check_size
from vixtui.runs.weights import (
    MAX_METADATA_BYTES,
    ModelCard,
    Preprocessing,
    TensorEntry,
    check_weights,
    read_card,
    read_header,
)
from vixtui.text import safe

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
MOST_CPU_SECONDS = 1.0
MOST_BYTES = 200_000_000
GREEDY = (b"[],", b"{},", b'{"":0},', b"[0],", b"[[[[]]]],")  # little text, large objects


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


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        check_weights(path)
    message = caught.value.message
    assert path.name in message
    assert safe(message, 1000) == message
    assert len(message) < 1000
    return message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def test_a_card_comes_back_as_it_was(path: Path) -> None:
    path.write_bytes(weights())
    assert read_card(path) == CARD
    metadata, tensors = read_header(path)
    assert metadata == CARD.to_metadata()
    assert tensors == {"a": TensorEntry("F32", (4, 4)), "b": TensorEntry("F32", ())}


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "an empty file"),
    "7 bytes": (lambda: bytes(7), "damaged"),
    "only a length": (lambda: bytes(8), "damaged"),
    "length 2^63": (lambda: struct.pack("<Q", 2**63) + b"{}" * 50, "damaged"),
    "length beyond the file": (lambda: struct.pack("<Q", 500) + b"{}" * 50, "damaged"),
    "5 MB header": (lambda: container(b'{"a":"' + b" " * 5_000_000 + b'"}'), "damaged"),
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
    "20 MB metadata": (lambda: weights(metadata={"a": "x" * 20_000_000}), "damaged"),
    "much metadata": (lambda: weights(metadata={"a": "x" * MAX_METADATA_BYTES}), "too much"),
    "metadata are numbers": (lambda: weights(metadata={"vixtui": 5}), "damaged header"),
    "metadata are lists": (lambda: weights(metadata={"vixtui": ["x"]}), "damaged header"),
    "metadata are a text": (lambda: weights(metadata="vixtui"), "damaged header"),
    "100,000 tensors": (
        lambda: weights(
            {f"{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(10**5)}
        ),
        "damaged",
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


@pytest.mark.parametrize("kind", FILES)
def test_malformed_files_are_refused_in_one_line_at_once(path: Path, kind: str) -> None:
    make, words = FILES[kind]
    message = refused(path, make())
    assert re.search(words, message), message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m.pt", "a PyTorch file"), ("m.CKPT", "a PyTorch file"), ("m.onnx", "an ONNX model"),
        ("m.keras", "a Keras file"), ("m.pkl", "a pickle"), ("m.safetensors", "safetensors file$"),
    ],
)  # fmt: skip
def test_files_of_other_programs_are_recognised_by_name(
    tmp_path: Path, name: str, words: str
) -> None:
    assert re.search(words, refused(tmp_path / name, b"\x01" * 100).partition(" (")[0])
    (tmp_path / name).write_bytes(weights())
    assert check_weights(tmp_path / name) == CARD


@pytest.mark.parametrize("last", [0.0, -1e-45, 3.4e37, -1e38])
def test_any_number_a_model_may_have_is_read(path: Path, last: float) -> None:
    path.write_bytes(numbers(last))
    assert check_weights(path) == CARD


def test_numbers_are_looked_at_to_the_end_of_a_large_file(path: Path) -> None:
    count = 1_500_000
    table = {"a": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}
    path.write_bytes(weights(table, data=bytes(4 * count)))
    assert check_weights(path) == CARD
    assert "not finite" in refused(
        path, weights(table, data=bytes(4 * count - 4) + struct.pack("<f", math.inf))
    )


@pytest.mark.parametrize("name", all_presets())
def test_no_preset_is_beyond_the_bounds_of_the_reader(name: str) -> None:
    for height, width in [(8, 8), (32, 512), (512, 512), (1024, 128), (1024, 1024)]:
        check_size(
            preset(name).model_config(
                image_height=height, image_width=width, in_channels=3, num_classes=10_000
            )
        )


RESOURCES = """
import sys, time
from pathlib import Path
from vixtui.errors import WeightsError
from vixtui.runs.weights import check_weights
worst = 0.0
for path in Path(sys.argv[1]).iterdir():
    started = time.process_time()
    try:
        check_weights(path)
        sys.exit(f"{path} was read")
    except WeightsError:
        worst = max(worst, time.process_time() - started)
[peak] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(worst, 1000 * int(peak.split()[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_refusing_takes_little_time_and_memory(tmp_path: Path) -> None:
    contents = [make() for make, _ in FILES.values()]
    contents += [container(b"[" + part * (2_999_990 // len(part)) + b"0]") for part in GREEDY]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", RESOURCES, tmp_path], capture_output=True, text=True, check=True
    )
    seconds, peak = map(float, done.stdout.split())
    assert seconds < MOST_CPU_SECONDS
    assert peak < MOST_BYTES


def test_hostile_names_are_kept_but_never_shown_raw(path: Path) -> None:
    names = ["\x1b]0;owned\x07", "[red]\u202e"]
    path.write_bytes(described(classes=names))
    assert read_card(path).classes == tuple(names)
    assert "\x1b" not in refused(path, described(classes=names, schema_version="\x1b[2J"))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    refused(tmp_path / "model.safetensors", content)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.binary(max_size=100) | ANY.map(json.dumps).map(str.encode))
def test_any_header_is_refused(tmp_path: Path, header: bytes) -> None:
    refused(tmp_path / "model.safetensors", container(header))


@given(entry=st.sampled_from(["dtype", "shape", "data_offsets"]), value=ANY)
@example(entry="shape", value=[10**400])
@example(entry="data_offsets", value=[math.nan, math.nan])
@example(entry="data_offsets", value=[64, 68, 68])
def test_any_tensor_entry_is_understood_or_refused(tmp_path: Path, entry: str, value: Any) -> None:
    one_number = entry == "shape" and isinstance(value, list) and all(n == 1 for n in value)
    if TENSORS["b"][entry] != value and not one_number:
        refused(tmp_path / "model.safetensors", tensor(**{entry: value}))


@given(
    entry=st.sampled_from(sorted(json.loads(CARD.to_metadata()["vixtui"]))),
    value=ANY.filter(lambda value: value is not None),
)
def test_any_description_is_understood_or_refused(tmp_path: Path, entry: str, value: Any) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(described(**{entry: value}))
    with suppress(WeightsError):
        card = read_card(path)
        assert all(isinstance(name, str) for name in (card.title, *card.classes))
        assert all(math.isfinite(number) for number in card.preprocessing.mean)


@given(
    changes=st.dictionaries(st.sampled_from([field.name for field in fields(ModelConfig)]), ANY),
    extra=st.dictionaries(st.text(max_size=9), ANY, max_size=1),
)
def test_any_model_is_understood_or_refused(
    tmp_path: Path, changes: dict[str, Any], extra: dict[str, Any]
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(described(model=model(**changes | extra)))
    with suppress(WeightsError):
        check_size(check_weights(path).model)


@given(st.data())
def test_any_damage_is_refused_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path, content = tmp_path / "model.safetensors", bytearray(weights())
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(begin, min(len(content), begin + 8)))
        content[begin:end] = data.draw(st.binary(max_size=8))
    path.write_bytes(content)
    with suppress(WeightsError):
        card = check_weights(path)
        assert len(card.classes) == card.model.num_classes


def test_a_missing_file_is_a_usage_error(path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_card(path)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "fifo"])
def test_what_is_no_file_is_not_opened(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(WeightsError, match=r"a folder, no weights|not a regular file"):
        read_card(path)


def test_a_path_that_cannot_be_is_a_usage_error(path: Path) -> None:
    path.touch()
    with pytest.raises(UsageError, match="cannot read"):
        read_card(path / "model.safetensors")
    with pytest.raises(UsageError, match="cannot read"):
        read_card(path.with_name("x" * 5000))


def test_the_card_is_one_metadata_key_in_a_fixed_order() -> None:
    assert CARD.to_metadata() == CARD.to_metadata()
    [(key, text)] = CARD.to_metadata().items()
    assert key == "vixtui"
    assert list(json.loads(text)) == sorted(json.loads(text))
