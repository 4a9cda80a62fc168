"""``run.toml`` is read back as it was written, or refused in one line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vixtui.errors import UsageError
from vixtui.models.config import ModelConfig
from vixtui.presets import all_presets
from vixtui.runs.config import DataConfig, Init, Plan, Recipe, RunConfig, read_config, write_config

# What a path can hold: any text, and bytes that are no UTF-8.
NAMES = st.text(max_size=30) | st.binary(max_size=30).map(os.fsdecode)
COUNTS = st.integers(0, 2**62)
AMOUNTS = st.floats(0, 1)
LIMITS = st.fixed_dictionaries({"epochs": st.integers(1, 10**6)}) | st.fixed_dictionaries(
    {"seconds": st.floats(1e-3, 1e7)}
)


@st.composite
def configs(draw: st.DrawFn) -> RunConfig:
    preset = draw(st.sampled_from(list(all_presets().values())))
    height, width, channels = draw(
        st.tuples(st.integers(8, 64), st.integers(8, 64), st.sampled_from([1, 3]))
    )
    classes = tuple(draw(st.lists(NAMES, min_size=2, max_size=5, unique=True)))
    size = {"image_height": height, "image_width": width, "in_channels": channels}
    amounts = ("weight_decay", "warmup", "label_smoothing", "ema", "crop", "erase")
    return RunConfig(
        id=draw(NAMES),
        created=draw(NAMES),
        vixtui="0",
        preset=preset.name,
        seed=draw(COUNTS),
        model=preset.model_config(**size, num_classes=len(classes)),
        data=DataConfig(
            **size, source=draw(NAMES), classes=classes, fingerprint=draw(NAMES),
            train=draw(COUNTS), validation=draw(COUNTS), test=draw(COUNTS),
            horizontal_flip=draw(st.booleans()),
        ),
        recipe=Recipe(
            **draw(LIMITS), batch_size=draw(st.integers(1, 10**6)),
            **{name: draw(AMOUNTS) for name in amounts},
        ),
        plan=Plan(
            device=draw(NAMES), micro_batch=draw(st.integers(1, 10**6)), threads=draw(COUNTS),
            precision=draw(st.sampled_from(["auto", "fp32", "bf16"])),
            budget_bytes=draw(COUNTS), predicted_peak_bytes=draw(COUNTS),
            corrected_peak_bytes=draw(COUNTS), basis=draw(NAMES),
        ),
        init=draw(st.none() | st.builds(
            Init, file=NAMES, sha256=NAMES, title=NAMES,
            kept_classes=st.lists(NAMES, max_size=3).map(tuple),
            mean=st.just((0.5,) * channels), std=st.just((0.25,) * channels),
        )),
    )  # fmt: skip


@settings(max_examples=50)
@given(configs())
def test_any_run_comes_back_as_it_was(tmp_path: Path, config: RunConfig) -> None:
    path = tmp_path / "run.toml"
    write_config(path, config)
    assert read_config(path) == config
    absent = "epochs" if config.recipe.epochs is None else "seconds"
    assert f"\n{absent} =".encode() not in path.read_bytes()


@given(st.binary())
@example(b"a = " + b"[" * 100_000)
@example(b"schema_version = 1\nseed = 0x" + b"f" * 6000)
@example(b"\xff\xfe")
def test_any_bytes_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_config(path)
    assert "run.toml" in caught.value.message
    assert "\n" not in caught.value.message


ANY = st.recursive(
    st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(data=st.data())
def test_any_entries_are_understood_or_refused(
    tmp_path: Path, config: RunConfig, data: st.DataObject
) -> None:
    path = tmp_path / "run.toml"
    write_config(path, config)
    table = tomllib.loads(path.read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        section = data.draw(st.sampled_from([table, *filter(is_table, table.values())]))
        section[data.draw(st.sampled_from(sorted(section)))] = data.draw(ANY)
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    with suppress(UsageError):
        read_config(path)


def is_table(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(entry)


def test_a_file_of_any_size_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(UsageError, match=r"no readable run\.toml"):
        read_config(path)


@pytest.fixture(scope="module")
def tampered(tmp_path_factory: pytest.TempPathFactory, config: RunConfig) -> Callable[..., Path]:
    """Write the run with one text replaced by another."""
    path = tmp_path_factory.mktemp("tampered") / "run.toml"

    def write(old: str, new: str) -> Path:
        write_config(path, config)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return path

    return write


@pytest.mark.parametrize("schema", ["2", "0", '"1"', "[]"])
def test_another_schema_asks_for_another_vixtui(tampered: Callable[..., Path], schema: str) -> None:
    with pytest.raises(UsageError, match=r"another schema.*: update vixtui"):
        read_config(tampered("schema_version = 1", f"schema_version = {schema}"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 0", 'seed = "0"', "seed must be int"),
        ("seed = 0", "seed = true", "seed must be int"),
        ("seed = 0", "", "seed is missing"),
        ("[plan]", "[planet]", r"\[plan\] is missing"),
        ("lr = 0.002", 'lr = "fast"', "lr must be float"),
        ("lr = 0.002", "lr = nan", "lr must be more than 0"),
        ("epochs = 3", "", "by epochs or by seconds"),
        ("epochs = 3", "epochs = 0", "epochs must be more than 0"),
        ("batch_size = 64", "batch_size = -1", "batch_size must be more than 0"),
        ("micro_batch = 64", "micro_batch = 0", "micro_batch must be more than 0"),
        ("mixup = 0.0", "mixup = -0.5", "mixup and cutmix must be probabilities"),
        ("cutmix = 0.0", "cutmix = 1.5", "add up to at most 1"),
        ('precision = "auto"', 'precision = "fp8"', "precision must be one of auto, fp32, bf16"),
        ('precision = "auto"', "precision = [1]", "precision must be one of"),
        ('    "a",', "    1,", "classes must be"),
        ("depth = 1", "depth = 10000", "depth must be between"),
        ("depth = 1", "depth = 1\nwings = 2", "unknown model option: wings"),
        ("depth = 1", "", "incomplete"),
    ],
)
def test_a_damaged_run_says_what_is_wrong(
    tampered: Callable[..., Path], old: str, new: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_config(tampered(old, new))
    assert "\n" not in caught.value.message


def test_entries_of_a_newer_vixtui_are_passed_over(
    tampered: Callable[..., Path], config: RunConfig
) -> None:
    assert read_config(tampered("[plan]", '[plan]\nmood = "good"')) == config


def test_entries_with_a_default_may_be_missing(
    tampered: Callable[..., Path], config: RunConfig
) -> None:
    assert read_config(tampered("lr = 0.002\n", "")) == config


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no readable run"):
        read_config(tmp_path / "run.toml")


@pytest.mark.parametrize("limits", [{}, {"epochs": 3, "seconds": 3.0}])
def test_a_recipe_has_exactly_one_limit(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either by epochs or by seconds"):
        Recipe(**limits)


def test_every_declared_type_is_checked() -> None:
    """A field of a type that the reader does not know would be taken as it stands."""
    from vixtui.runs import config as module

    checked = {*module._TOML_TYPES, *module._NESTED, *module._CHOICES, "tuple[str, ...]"}
    for kind in (RunConfig, DataConfig, Recipe, Plan):
        assert {str(field.type) for field in fields(kind)} <= checked


def test_only_limits_can_be_absent() -> None:
    """Writing leaves None out, so each field that may be None must default to it."""
    for kind in (RunConfig, DataConfig, Recipe, Plan, ModelConfig):
        for field in fields(kind):
            if "None" in str(field.type):
                assert field.default is not MISSING
                assert field.default is None


def test_decisions_cannot_be_changed(config: RunConfig) -> None:
    with pytest.raises(AttributeError):
        config.seed = 1  # type: ignore[misc]
    assert replace(config, seed=1).seed == 1
