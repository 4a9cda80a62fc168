from __future__ import annotations

import os
import subprocess
import sys

import pytest
from PIL import Image

from vixtui.data.sources import PUBLIC_SETS, open_source
from vixtui.errors import DataError, UsageError


@pytest.mark.parametrize("source", ["missing", "", "~nobody/x", "a\0b"])
def test_a_missing_folder_is_a_usage_error_that_names_the_choices(source) -> None:
    with pytest.raises(UsageError, match="digits"):
        open_source(source)


def test_a_file_is_refused_as_source(tmp_path) -> None:
    file = tmp_path / "cat.png"
    Image.new("L", (8, 8)).save(file)

    with pytest.raises(UsageError, match="not a folder"):
        open_source(str(file))


def test_a_public_set_that_is_not_here_names_download(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("VIXTUI_HOME", str(tmp_path))

    with pytest.raises(UsageError, match="--download"):
        open_source("cifar10")


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_downloaded_set_opens_by_name(tmp_path, make_pictures, monkeypatch, name) -> None:
    monkeypatch.setenv("VIXTUI_HOME", str(tmp_path))
    make_pictures(f"data/{name}/train/0", 5)
    make_pictures(f"data/{name}/train/1", 5)

    source = open_source(name)

    assert source.source == str(tmp_path / "data" / name)
    assert source.horizontal_flip == PUBLIC_SETS[name].horizontal_flip
    assert open_source(source.source) == source


def test_a_relative_folder_becomes_absolute(tmp_path, make_pictures, monkeypatch) -> None:
    make_pictures("digits/cat", 3)
    make_pictures("digits/dog", 3)
    monkeypatch.chdir(tmp_path)

    assert open_source("./digits").source == str(tmp_path / "digits")


@pytest.mark.parametrize(
    ("size", "side"),
    [((32, 32), 32), ((28, 28), 28), ((640, 480), 64), ((5, 9), 8), ((90, 45), 44)],
)
def test_suggested_size_keeps_small_pictures_and_shrinks_photos(
    tmp_path, make_pictures, size, side
) -> None:
    make_pictures("cat", 3, size=size)
    make_pictures("dog", 3, size=size)

    source = open_source(str(tmp_path))

    assert (source.image_height, source.image_width) == (side, side)
    assert open_source(str(tmp_path), image_size=100).image_height == 100


def test_one_channel_only_when_every_sampled_picture_is_grey(tmp_path, make_pictures) -> None:
    make_pictures("cat", 3, mode="L")
    make_pictures("dog", 3, mode="I;16")
    assert open_source(str(tmp_path)).in_channels == 1

    make_pictures("dog", 3, mode="RGB")
    assert open_source(str(tmp_path)).in_channels == 3


@pytest.mark.parametrize("size", [7, 513, 0, -8])
def test_an_image_size_out_of_range_is_refused(size) -> None:
    with pytest.raises(UsageError, match="--image-size"):
        open_source("digits", image_size=size)


def test_a_folder_without_a_single_real_picture_is_refused(tmp_path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_text("<html>not found</html>")

    with pytest.raises(DataError, match="a web page"):
        open_source(str(tmp_path))


def test_a_few_bad_files_do_not_stop_the_opening(tmp_path, make_pictures) -> None:
    make_pictures("cat", 5)
    make_pictures("dog", 5)
    (tmp_path / "cat" / "000.png").write_bytes(b"")

    assert open_source(str(tmp_path)).image_height == 32


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_an_unreadable_folder_is_one_clear_line(tmp_path) -> None:
    tmp_path.chmod(0)
    try:
        with pytest.raises(DataError, match="permissions"):
            open_source(str(tmp_path))
    finally:
        tmp_path.chmod(0o700)


def test_opening_never_imports_torch_or_numpy(tmp_path, make_pictures) -> None:
    make_pictures("cat", 3)
    make_pictures("dog", 3)
    code = (
        "import sys; from vixtui.data.sources import open_source;"
        "open_source('digits'); open_source('shapes'); early = 'PIL' in sys.modules;"
        f"open_source({str(tmp_path)!r});"
        "print(early, [m for m in ('torch', 'torchvision', 'numpy') if m in sys.modules])"
    )

    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert answer.stdout.strip() == "False []"
