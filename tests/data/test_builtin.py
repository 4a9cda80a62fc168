from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from vixtui.data import builtin
from vixtui.data.pictures import read_picture
from vixtui.data.sources import open_source
from vixtui.errors import DataError, UsageError
from vixtui.paths import assets_dir


def test_digits_are_all_there_and_stratified() -> None:
    source = open_source("digits")

    parts = (source.split.train, source.split.validation, source.split.test)
    assert sum(map(len, parts)) == 1797
    assert sorted(int(item) for part in parts for item, _ in part) == list(range(1797))
    for part, share in zip(parts, (0.7, 0.1, 0.2), strict=True):
        counts = Counter(label for _, label in part)
        assert set(counts) == set(range(10))
        assert all(abs(count - 179.7 * share) < 5 for count in counts.values())
    assert (source.image_height, source.in_channels, source.horizontal_flip) == (8, 1, False)


def test_digits_keep_their_attribution() -> None:
    content = (assets_dir() / "digits.safetensors").read_bytes()

    assert b"CC BY 4.0" in content
    assert b"https://archive.ics.uci.edu/dataset/80" in content


def test_damaged_digits_are_one_clear_line(tmp_path) -> None:
    file = tmp_path / "digits.safetensors"
    for content in (b"", b"\xff" * 100, (assets_dir() / "digits.safetensors").read_bytes()[:5000]):
        file.write_bytes(content)
        with pytest.raises(DataError, match="reinstall"):
            builtin.read_digits(file)


@pytest.mark.parametrize("item", [1797, -1, "cat/1.png"])
def test_a_digit_that_does_not_exist_is_refused(item) -> None:
    with pytest.raises(DataError, match="no picture"):
        builtin.draw("digits", item, height=8, width=8)


def test_sample_digits_are_test_pictures_of_seed_0() -> None:
    test = open_source("digits", seed=0).split.test
    drawn = {
        builtin.draw("digits", item, height=8, width=8).tobytes(): label for item, label in test
    }

    for digit in (3, 5, 8):
        sample = read_picture(
            str(assets_dir() / "samples" / f"digit-{digit}.png"), height=8, width=8, grey=True
        )
        assert drawn[sample.tobytes()] == digit


def test_shapes_are_the_same_in_every_process() -> None:
    code = (
        "from vixtui.data import builtin; import hashlib;"
        "p = builtin.draw('shapes', 7, height=32, width=48);"
        "print(p.size, hashlib.sha256(p.tobytes()).hexdigest())"
    )

    answers = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
        for _ in range(2)
    }

    assert len(answers) == 1
    assert b"(48, 32)" in answers.pop()


def test_shapes_have_every_class_in_every_part_and_no_picture_twice() -> None:
    split = open_source("shapes:images=100").split

    parts = (split.train, split.validation, split.test)
    assert [len(part) for part in parts] == [100, 10, 25]
    assert all({label for _, label in part} == set(range(10)) for part in parts)
    assert len({item for part in parts for item, _ in part}) == 135


def test_shapes_for_testing_do_not_depend_on_how_many_train() -> None:
    small, large = (open_source(f"shapes:images={n}").split.test for n in (1000, 4000))

    assert set(small) < set(large)


def test_difficulty_changes_the_pictures() -> None:
    easy, hard = (builtin.draw(f"shapes:difficulty={d}", 3, height=32, width=32) for d in (0, 1))

    assert len(set(easy.tobytes())) < len(set(hard.tobytes()))


def test_shapes_options_are_named_in_the_source() -> None:
    assert open_source("shapes:difficulty=0.8,images=4000").source == (
        "shapes:difficulty=0.8,images=4000"
    )
    assert open_source("shapes:images=2000").source == "shapes"
    assert open_source("shapes:seed=1").fingerprint != open_source("shapes").fingerprint


@pytest.mark.parametrize(
    "options",
    [
        "",
        "size=3",
        "difficulty",
        "difficulty=2",
        "difficulty=nan",
        "images=9",
        "images=1e9",
        "images=200,images=300",
        "images=200;seed=1",
        "seed=-1",
    ],
)
def test_unknown_shapes_options_are_refused(options) -> None:
    with pytest.raises(UsageError, match="difficulty=0…1"):
        open_source(f"shapes:{options}")
