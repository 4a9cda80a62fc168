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
from weights_corpus import (
    CARD,
    FILES,
    TENSORS,
    container,
    described,
    model,
    numbers,
    tensor,
    weights,
)

from vixtui.errors import UsageError, WeightsError
from vixtui.models.config import ModelConfig
from vixtui.presets import all_presets, preset
from vixtui.runs.bounds import check_size
from vixtui.runs.weights import TensorEntry, check_weights, read_card, read_header
from vixtui.text import safe

MOST_CPU_SECONDS = 1.0
MOST_BYTES = 200_000_000
GREEDY = (b"[],", b"{},", b'{"":0},', b"[0],", b"[[[[]]]],")  # little text, large objects


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
