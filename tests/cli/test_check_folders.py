"""``vixtui check`` on whole folders: the same picture twice, odd classes, nothing to learn from."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from picture_corpus import draw, encoded
from PIL import Image

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


@posix
def test_a_folder_that_cannot_be_written_can_be_learned_from(vixtui, pictures):
    for path in (pictures, *pictures.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        assert vixtui("check", str(pictures), "--strict").code == 0
    finally:
        for path in (pictures, *pictures.rglob("*")):
            path.chmod(0o700)
