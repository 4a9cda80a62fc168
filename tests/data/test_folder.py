"""What becomes of a user's folder."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from vixtui.data.sources import DataSource, open_source
from vixtui.data.split import Labelled
from vixtui.errors import DataError

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX file system")


def items(part: Labelled) -> set[str]:
    return {str(item) for item, _ in part}


def note(source: DataSource, words: str) -> str:
    return next(line for line in source.notes if words in line)


def test_class_folders_are_split_70_10_20(tmp_path, make_pictures) -> None:
    make_pictures("cat", 20)
    make_pictures("dog", 40)

    source = open_source(str(tmp_path))

    assert source.classes == ("cat", "dog")
    parts = (source.split.train, source.split.validation, source.split.test)
    assert [len(part) for part in parts] == [42, 6, 12]
    assert not items(parts[0]) & items(parts[1]) | items(parts[0]) & items(parts[2])
    assert "seed 0" in note(source, "no split given")


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_given_splits_are_kept_as_given(tmp_path, make_pictures, name) -> None:
    for part in ("train", name, "test"):
        make_pictures(f"{part}/cat", 3)
        make_pictures(f"{part}/dog", 3)

    source = open_source(str(tmp_path))

    assert all(item.startswith("train/") for item in items(source.split.train))
    assert all(item.startswith(f"{name}/") for item in items(source.split.validation))
    assert all(item.startswith("test/") for item in items(source.split.test))
    assert source.notes == ()


def test_validation_never_contains_training_pictures(tmp_path, make_pictures) -> None:
    for part in ("train", "test"):
        make_pictures(f"{part}/cat", 20)
        make_pictures(f"{part}/dog", 20)

    split = open_source(str(tmp_path)).split

    assert len(split.validation) == 4
    assert len(split.train) == 36
    assert not items(split.train) & items(split.validation)
    assert all(item.startswith("train/") for item in items(split.validation))
    assert all(item.startswith("test/") for item in items(split.test))


def test_without_test_pictures_some_of_train_are_kept_apart(tmp_path, make_pictures) -> None:
    for part in ("train", "val"):
        make_pictures(f"{part}/cat", 20)
        make_pictures(f"{part}/dog", 20)

    source = open_source(str(tmp_path))

    assert all(item.startswith("val/") for item in items(source.split.validation))
    assert len(source.split.test) == 4
    assert not items(source.split.train) & items(source.split.test)
    assert note(source, "no test pictures")


def test_classes_are_matched_by_name_not_position(tmp_path, make_pictures) -> None:
    for name in ("ant", "bee", "cat"):
        make_pictures(f"train/{name}", 5)
    make_pictures("test/bee", 2)
    make_pictures("test/cat", 2)

    source = open_source(str(tmp_path))

    assert {(str(item).split("/")[1], label) for item, label in source.split.test} == {
        ("bee", 1),
        ("cat", 2),
    }


def test_a_class_unknown_to_train_is_left_out_and_noted(tmp_path, make_pictures) -> None:
    make_pictures("train/cat", 4)
    make_pictures("train/dog", 4)
    make_pictures("test/cat", 2)
    make_pictures("test/aardvark", 3)

    source = open_source(str(tmp_path))

    assert items(source.split.test) == {"test/cat/000.png", "test/cat/001.png"}
    assert "3 pictures" in note(source, "aardvark")


def test_an_empty_class_is_left_out_and_noted(tmp_path, make_pictures) -> None:
    make_pictures("cat", 3)
    make_pictures("dog", 3)
    (tmp_path / "empty").mkdir()

    source = open_source(str(tmp_path))

    assert source.classes == ("cat", "dog")
    assert note(source, "empty")


def test_a_single_picture_is_used_for_training(tmp_path, make_pictures) -> None:
    make_pictures("cat", 1)
    make_pictures("dog", 10)

    source = open_source(str(tmp_path))

    assert "cat/000.png" in items(source.split.train)
    assert "cat" in note(source, "single picture")


def test_a_class_may_be_called_train(tmp_path, make_pictures) -> None:
    for name in ("bus", "car", "train"):
        make_pictures(name, 4)

    assert open_source(str(tmp_path)).classes == ("bus", "car", "train")


def test_pictures_in_sub_folders_belong_to_the_class(tmp_path, make_pictures) -> None:
    make_pictures("cat/2024/may", 3)
    make_pictures("dog", 3)

    split = open_source(str(tmp_path)).split

    everything = items(split.train) | items(split.validation) | items(split.test)
    assert "cat/2024/may/000.png" in everything
    assert len(everything) == 6


def test_files_of_other_kinds_are_counted(tmp_path, make_pictures) -> None:
    make_pictures("cat", 3)
    make_pictures("dog", 3)
    (tmp_path / "cat" / "notes.txt").touch()
    (tmp_path / "cat" / "clip.mp4").touch()
    (tmp_path / "dog" / "clip.mp4").touch()

    assert "(2 .mp4, 1 .txt)" in note(open_source(str(tmp_path)), "3 files of other kinds")


def test_every_common_format_is_found_in_any_case(tmp_path, make_pictures) -> None:
    make_pictures("cat", 1)
    for ending in ("JPG", "jpeg", "webp", "bmp", "gif", "tif", "TIFF"):
        (tmp_path / "dog").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "dog" / f"one.{ending}")

    source = open_source(str(tmp_path))

    assert sum(map(len, (source.split.train, source.split.validation, source.split.test))) == 8
    assert note(source, "first frame")


def test_hidden_files_and_folders_are_ignored(tmp_path, make_pictures) -> None:
    make_pictures("cat", 3)
    make_pictures("dog", 3)
    make_pictures("cat/.ipynb_checkpoints", 2)
    make_pictures(".git", 2)
    for name in (".DS_Store", "._000.png", "Thumbs.db", "desktop.ini"):
        (tmp_path / "cat" / name).touch()

    source = open_source(str(tmp_path))

    assert source.classes == ("cat", "dog")
    assert len(source.notes) == 1  # the split that was drawn


@posix
def test_symlink_to_itself_is_not_followed(tmp_path, make_pictures) -> None:
    make_pictures("cat", 5)
    make_pictures("dog", 5)
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat")
    (tmp_path / "cat" / "up").symlink_to(tmp_path)
    (tmp_path / "dog" / "self").symlink_to(tmp_path / "dog" / "self")

    source = open_source(str(tmp_path))

    assert sum(map(len, (source.split.train, source.split.validation, source.split.test))) == 10
    assert note(source, "2 links")


@posix
def test_a_linked_picture_is_counted_once(tmp_path, make_pictures) -> None:
    make_pictures("train/cat", 5)
    make_pictures("train/dog", 5)
    (tmp_path / "val" / "cat").mkdir(parents=True)
    os.link(tmp_path / "train/cat/000.png", tmp_path / "val/cat/hard.png")
    (tmp_path / "val/cat/soft.png").symlink_to(tmp_path / "train/cat/001.png")

    source = open_source(str(tmp_path))

    assert not any(item.startswith("val/") for item in items(source.split.validation))
    assert note(source, "2 links")


@posix
def test_a_val_folder_that_links_to_train_does_not_validate(tmp_path, make_pictures) -> None:
    make_pictures("train/cat", 10)
    make_pictures("train/dog", 10)
    (tmp_path / "val").symlink_to(tmp_path / "train")

    split = open_source(str(tmp_path)).split

    names = [
        Path(str(item)).parts[1:] for part in (split.train, split.validation) for item, _ in part
    ]
    assert len(names) == len(set(names))


@posix
def test_fifo_does_not_hang(tmp_path, make_pictures) -> None:
    make_pictures("cat", 3)
    make_pictures("dog", 3)
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    (tmp_path / "cat" / "broken.jpg").symlink_to(tmp_path / "nowhere")

    assert note(open_source(str(tmp_path)), "2 unreadable or special entries")


@posix
def test_names_that_are_no_utf8_survive(tmp_path, make_pictures) -> None:
    make_pictures("dog", 3)
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    shutil.copy(tmp_path / "dog" / "000.png", os.fsdecode(folder + b"/\xff.png"))

    source = open_source(str(tmp_path))

    assert source.classes == ("caf\\xe9", "dog")
    assert "caf\udce9/\udcff.png" in items(source.split.train)


@posix
def test_a_hostile_class_name_is_safe_in_notes(tmp_path, make_pictures) -> None:
    make_pictures("cat", 3)
    make_pictures("dog", 3)
    (tmp_path / "\x1b]0;owned\x07").mkdir()

    assert "\x1b" not in "".join(open_source(str(tmp_path)).notes)


def test_order_does_not_depend_on_the_file_system(tmp_path, make_pictures, monkeypatch) -> None:
    make_pictures("cat", 9)
    make_pictures("dog", 9)
    if sys.platform != "win32":
        for name in ("x.jpg", "y.jpg", "z.jpg"):
            (tmp_path / "cat" / name).symlink_to("nowhere")
    first = open_source(str(tmp_path))
    listing = os.scandir

    class Reversed:
        def __init__(self, path: str) -> None:
            with listing(path) as entries:
                self._entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self):
            return iter(self._entries)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Reversed)

    assert open_source(str(tmp_path)) == first


def test_fingerprint_changes_with_the_pictures(tmp_path, make_pictures) -> None:
    make_pictures("cat", 3)
    make_pictures("dog", 3)
    before = open_source(str(tmp_path)).fingerprint
    assert open_source(str(tmp_path), seed=5).fingerprint == before

    Image.new("RGB", (50, 50)).save(tmp_path / "cat" / "000.png")

    assert open_source(str(tmp_path)).fingerprint != before


def test_nothing_is_written_to_the_folder(tmp_path, make_pictures) -> None:
    make_pictures("cat", 3)
    make_pictures("dog", 3)
    before = sorted(tmp_path.rglob("*"))

    open_source(str(tmp_path))

    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "layout", ["flat", "flat train", "one class", "empty", "only test", "text"]
)
def test_what_cannot_be_learned_from_is_refused_with_the_layout(
    tmp_path, make_pictures, layout
) -> None:
    match layout:
        case "flat":
            make_pictures(".", 3)
        case "flat train":
            make_pictures("train", 3)
            make_pictures("test", 3)
        case "one class":
            make_pictures("cat", 3)
        case "only test":
            make_pictures("test/cat", 3)
            make_pictures("test/dog", 3)
        case "text":
            (tmp_path / "cat").mkdir()
            (tmp_path / "cat" / "a.txt").touch()

    with pytest.raises(DataError, match="PATH/CLASS") as caught:
        open_source(str(tmp_path))

    assert "\n" not in caught.value.message
    assert str(tmp_path) in caught.value.message
