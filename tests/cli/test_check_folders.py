"""``vixtui check`` on whole folders: the same picture twice, odd classes, nothing to learn from."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from picture_corpus import draw, encoded
from PIL import Image

from vixtui.data import folder as folder_room

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX file system")


def found(vixtui, root: Path) -> set[tuple[str, str, str]]:
    """Return what a check finds, as (kind, path, same_as)."""
    answer = json.loads(vixtui("check", str(root), "--json").out)
    return {(entry["kind"], entry["path"], entry["same_as"]) for entry in answer["findings"]}


@pytest.mark.parametrize(
    ("copy", "kinds"),
    [
        ("train/cat/copy.png", {"duplicate"}),
        ("train/dog/copy.png", {"two classes"}),
        ("test/cat/copy.png", {"leak"}),
        ("val/cat/copy.png", {"leak"}),
        ("test/dog/copy.png", {"leak", "two classes"}),
    ],
)
@pytest.mark.parametrize("way", ["copy", "re-encoded", "link"])
def test_the_same_picture_is_found_again(vixtui, pictures, copy, kinds, way):
    original, target = pictures / "train" / "cat" / "7.png", pictures / copy
    if way == "copy":
        shutil.copy(original, target)
    elif way == "link":
        os.link(original, target)
        kinds = kinds - {"leak"} if len(kinds) > 1 else kinds  # told once, and left out
    else:
        target = target.with_suffix(".bmp")
        Image.open(original).save(target)
    path = str(target.relative_to(pictures))

    assert found(vixtui, pictures) == {(kind, path, "train/cat/7.png") for kind in kinds}
    assert vixtui("check", str(pictures), "--strict").code == (0 if kinds == {"duplicate"} else 3)


def test_a_picture_compressed_again_is_not_recognised(vixtui, pictures):
    again = encoded(Image.open(pictures / "train" / "cat" / "7.png"), "JPEG", quality=60)
    (pictures / "test" / "dog" / "again.jpg").write_bytes(again)

    assert found(vixtui, pictures) == set()


def test_blank_pictures_are_the_same_only_as_files(vixtui, pictures):
    for part, side in (("train", 16), ("val", 20), ("test", 16)):
        Image.new("RGB", (side, side)).save(pictures / part / "cat" / "blank.png")

    assert {entry for entry in found(vixtui, pictures) if entry[0] != "blank"} == {
        ("leak", "test/cat/blank.png", "train/cat/blank.png")
    }


def test_a_drawn_split_is_checked_for_leaks(vixtui, tmp_path):
    for colour, name in enumerate(("cat", "dog")):
        (tmp_path / "all" / name).mkdir(parents=True)
        for number in range(30):
            image = draw(8 * (number // 2), 0, 90 * colour)
            image.save(tmp_path / "all" / name / f"{number}.png")

    kinds = {kind for kind, _, _ in found(vixtui, tmp_path / "all")}
    assert kinds == {"leak", "duplicate"}


def add_class(root: Path, name: str, *parts: str, count: int = 12) -> None:
    for part in parts:
        (root / part / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            draw(number, len(name), len(part) + ord(name[0])).save(
                root / part / name / f"x{number}.png"
            )


@pytest.mark.parametrize(
    ("change", "expected", "code"),
    [
        (lambda root: (root / "train" / "ant").mkdir(), "class ant no pictures to train on", 3),
        (lambda root: add_class(root, "ant", "train"), "class ant no pictures in test", 3),
        (lambda root: add_class(root, "ant", "train", "test"), "class ant no pictures in val", 3),
        (
            lambda root: [path.write_text("x") for path in (root / "test/cat").iterdir()],
            "class cat no usable pictures in test",
            3,
        ),
        (lambda root: add_class(root, "ant", "test"), "misplaced test/ant/x0.png in test", 3),
        (lambda root: add_class(root, "ant", "other"), "misplaced other beside train", 3),
        (lambda root: draw(1, 2, 3).save(root / "a.png"), "misplaced a.png outside", 3),
        (lambda root: draw(1, 2, 3).save(root / "val/a.png"), "misplaced val/a.png outside", 3),
        (
            lambda root: add_class(root, "ant", "train", "val", "test", count=1),
            "few ant only 1 to train on",
            0,
        ),
        (
            lambda root: add_class(root, "ant", "train", "val", "test", count=60),
            "imbalance cat 12 to train on, 60 of ant",
            0,
        ),
        (lambda root: add_class(root, "Cat", "train", "val", "test"), "class cat differs", 3),
        (lambda root: os.link(root / "val/cat/0.png", root / "a.png"), "duplicate a.png a link", 0),
        (lambda root: (root / "notes.txt").touch(), "ignored notes.txt not a picture", 0),
    ],
)
def test_odd_class_folders_are_named(vixtui, pictures, change, expected, code):
    change(pictures)

    result = vixtui("check", str(pictures), "--strict")
    assert any(" ".join(line.split()).startswith(expected) for line in result.out.splitlines())
    assert result.code == code


@posix
def test_class_names_that_only_look_the_same_are_told(vixtui, pictures):
    for form in ("NFC", "NFD"):
        add_class(pictures, unicodedata.normalize(form, "é"), "train", "val", "test")

    assert ("class", "é", unicodedata.normalize("NFD", "é")) in found(vixtui, pictures)


@pytest.mark.parametrize(
    "layout", ["empty", "flat", "one class", "all unusable", "a class all unusable", "too many"]
)
def test_a_folder_that_teaches_nothing_exits_3_with_one_line(
    vixtui, tmp_path, pictures, layout, monkeypatch
):
    root = tmp_path / "other"
    root.mkdir()
    match layout:
        case "flat":
            draw(1, 2, 3).save(root / "a.png")
        case "one class":
            shutil.copytree(pictures / "train" / "cat", root / "cat")
        case "all unusable" | "a class all unusable":
            shutil.copytree(pictures / "train", root, dirs_exist_ok=True)
            for path in root.glob("cat/*" if layout.startswith("a class") else "*/*"):
                path.write_text("text")
        case "too many":
            shutil.copytree(pictures / "train", root, dirs_exist_ok=True)
            monkeypatch.setattr(folder_room, "_MAX_CLASSES", 1)

    result = vixtui("check", str(root))
    assert result.code == 3
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert str(root) in result.err


MISSING = "no such folder"
FOLDERS: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "missing": (lambda root: shutil.rmtree(root), 2, MISSING),
    "a file": (lambda root: (shutil.rmtree(root), root.write_text("x")), 2, "a file, not a folder"),
    "no val": (lambda root: shutil.rmtree(root / "val"), 0, "nothing to complain about"),
    "no test": (lambda root: shutil.rmtree(root / "test"), 0, "nothing to complain about"),
    "class folders alone": (
        lambda root: [shutil.rmtree(root / part) for part in ("val", "test")],
        0,
        "cat only 9 to train on",
    ),
    "read-only": (lambda root: (root / "train/cat").chmod(0o500), 0, "nothing to complain about"),
    "a class with a space": (
        lambda root: add_class(root, "big cat", "train", "val", "test"), 0, "3, with 12 to 12",
    ),
    "a hidden folder": (
        lambda root: add_class(root, ".cache", "train"), 0, "2, with 12 to 12",
    ),
    "a folder of another system": (
        lambda root: add_class(root, "__MACOSX", "train"), 0, "2, with 12 to 12",
    ),
    "one picture in a class": (
        lambda root: add_class(root, "ant", "train", count=1), 0, "ant only 1 to train on",
    ),
    "two classes with one picture": (
        lambda root: shutil.copy(root / "train/cat/3.png", root / "train/dog/same.png"),
        3,
        "in dog, the same file as train/cat/3.png in cat",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_every_folder_of_the_corpus_has_its_line_and_exit_code(vixtui, pictures, case):
    change, code, words = FOLDERS[case]
    change(pictures)

    result = vixtui("check", str(pictures), "--strict")
    assert result.code == code
    assert words in " ".join((result.out + result.err).split())
    assert result.err.count("\n") == (1 if code else 0)


@posix
def test_a_folder_that_cannot_be_written_can_be_learned_from(vixtui, pictures):
    for path in (pictures, *pictures.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        assert vixtui("check", str(pictures), "--strict").code == 0
    finally:
        for path in (pictures, *pictures.rglob("*")):
            path.chmod(0o700)
