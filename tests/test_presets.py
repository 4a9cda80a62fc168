"""Every shipped preset is whole and fits every usual picture."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from dataclasses import MISSING, fields
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vixtui.errors import UsageError
from vixtui.models.config import ModelConfig
from vixtui.paths import presets_dir
from vixtui.presets import SIZES, all_presets, patch_size, preset, variants
from vixtui.runs.bounds import check_size
from vixtui.text import safe

FILES = sorted(presets_dir().glob("*.toml"))
OPTIONS = {field.name for field in fields(ModelConfig)}
FROM_THE_DATA = {"image_height", "image_width", "in_channels", "num_classes"}
REQUIRED = {f.name for f in fields(ModelConfig) if f.default is MISSING} - FROM_THE_DATA


@pytest.mark.parametrize("name", all_presets())
def test_every_preset_takes_every_usual_picture(name: str) -> None:
    found = preset(name)
    for side, channels in product([8, 28, 32, 64, 224], [1, 3]):
        config = found.model_config(
            image_height=side, image_width=side, in_channels=channels, num_classes=10
        )
        assert (config.image_height, config.in_channels) == (side, channels)
        assert min(config.grid) >= min(found.tokens_per_side, side)


@pytest.mark.parametrize("variant", variants())
def test_odd_pictures_are_taken_too(variant: str) -> None:
    for height, width in [(8, 32), (33, 47), (1, 1), (480, 640), (8, 512)]:
        config = preset(variant).model_config(
            image_height=height, image_width=width, in_channels=3, num_classes=2
        )
        rows, columns = config.grid
        assert rows * config.patch_size >= height
        assert columns * config.patch_size >= width


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_preset_file_has_no_unknown_and_no_missing_entries(path: Path) -> None:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(table) == {"title", "summary", "model", "sizes"}
    assert set(table["sizes"]) == set(SIZES)
    for size in table["sizes"].values():
        options = {**table["model"], **size}
        assert set(options) <= OPTIONS - FROM_THE_DATA | {"tokens_per_side"}
        assert set(options) | {"patch_size"} >= REQUIRED | {"tokens_per_side"}


def test_presets_are_in_order_and_addressed_by_their_own_name() -> None:
    assert list(variants()) == sorted(path.stem for path in FILES)
    assert len(all_presets()) == len(FILES) * len(SIZES)
    for name, found in all_presets().items():
        assert preset(name) is found
        assert found.name == name


def test_without_a_size_the_tiny_one_is_meant() -> None:
    assert preset("vit") is preset("vit:tiny") is preset("vit:")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("hybrid-van", "did you mean .*hybrid-vin"),
        ("vit:tinny", "did you mean vit:tiny"),
        ("VIT", "vixtui presets list|did you mean"),
        ("resnet50-imagenet-1k", "vixtui presets list"),
        ("", "vixtui presets list"),
        ("../vit", "did you mean"),
        ("vit:tiny:tiny", "did you mean"),
        ("\x1b[2J", "vixtui presets list"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(name: str, advice: str) -> None:
    with pytest.raises(UsageError, match=f"no preset of this name.*{advice}") as caught:
        preset(name)
    assert caught.value.message.isprintable()


@given(st.integers(1, 1024), st.integers(1, 32))
def test_the_patch_is_the_largest_power_of_two_that_gives_enough(side: int, tokens: int) -> None:
    patch = patch_size(side, side, tokens)
    assert patch.bit_count() == 1
    assert patch == 1 or side // patch >= tokens
    assert side // (2 * patch) < tokens


@given(st.integers(1, 1024), st.integers(1, 1024), st.integers(1, 32))
def test_long_pictures_have_not_many_more_tokens_than_square_ones(
    height: int, width: int, tokens: int
) -> None:
    patch = patch_size(height, width, tokens)
    assert -(-height // patch) * -(-width // patch) <= 8 * tokens**2
    if max(height, width) <= 2 * min(height, width):
        assert patch == patch_size(min(height, width), min(height, width), tokens)


def test_presets_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        preset("vit").options["depth"] = 9  # type: ignore[index]


@given(st.text(min_size=1) | st.sampled_from([f"{name}r" for name in all_presets()]))
def test_any_other_name_is_one_line(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        preset(name)
    assert safe(caught.value.message, 1000) == caught.value.message


SIDES = st.integers(-1, 10**6)


@given(st.sampled_from(sorted(all_presets())), SIDES, SIDES, st.integers(-1, 5), SIDES)
def test_any_size_is_taken_or_refused(
    name: str, height: int, width: int, channels: int, classes: int
) -> None:
    with suppress(ValueError):
        config = preset(name).model_config(
            image_height=height, image_width=width, in_channels=channels, num_classes=classes
        )
        check_size(config)
        assert (config.image_height, config.num_classes) == (height, classes)
