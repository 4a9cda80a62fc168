"""A user's folder of pictures: its layout, its classes, its split.

Two layouts are understood: ``PATH/CLASS/*`` and ``PATH/{train,val,test}/CLASS/*``. Pictures may lie
in sub-folders of a class. What is missing is drawn from the training pictures, stratified and
seeded:

================  ==============================================
given             becomes
================  ==============================================
class folders     70 % training, 10 % validation, 20 % test
train             the same
train, test       10 % of train is validation
train, val        10 % of train is test: pictures that helped to
                  choose the weights cannot judge them as well
train, val, test  as given
================  ==============================================
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from vixtui.data.findings import Finding, Kind
from vixtui.data.scan import EXTENSIONS, PictureFile, Walk
from vixtui.data.split import Item, Split, stratified_split
from vixtui.errors import DataError
from vixtui.runs.weights import MAX_CLASS_NAME, MAX_METADATA_BYTES
from vixtui.text import safe

VALIDATION_FRACTION = 0.1
TEST_FRACTION = 0.2
TEST_FRACTION_OF_TRAIN = 0.1
DRAWN = "drawn by seed"
"""In each note about a part of the split that the folder does not give."""

_MAX_CLASSES = 10_000
_PART_OF_NAME = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_OUTSIDE = "outside any class folder"
_LAYOUT = "give each class a folder: PATH/CLASS/*.jpg or PATH/train/CLASS/*.jpg"

ByClass = dict[str, list[PictureFile]]


@dataclass(frozen=True, slots=True)
class FolderContents:
    """What a folder holds; see `vixtui.data.sources.DataSource` for the fields."""

    classes: tuple[str, ...]
    split: Split
    has_test: bool
    fingerprint: str
    notes: tuple[str, ...]
    left_out: tuple[Finding, ...]


def read_folder(root: str, *, seed: int) -> FolderContents:
    """Look through a folder of pictures without opening any of them.

    Args:
        root: absolute path of an existing folder.
        seed: draws the splits that the folder does not give.

    Raises:
        DataError: when there are no pictures, no class folders or fewer than two classes.
    """
    walk = Walk(root)
    folders, files = walk.entries("")
    if any(not found.path for found in walk.left_out):
        raise DataError("this folder cannot be read", where=root, remedy="check its permissions")
    notes: list[str] = []
    is_split = _is_split(root, folders)
    if is_split:
        parts, below = _read_parts(walk, folders)
        files += below
        if others := [name for name in folders if name.lower() not in _PART_OF_NAME]:
            notes.append(f"{_named('folder', others)} beside train: left out")
            walk.left_out += (Finding(Kind.MISPLACED, name, "beside train") for name in others)
    else:
        parts = {"train": {name: walk.pictures(name) for name in folders}}
    # Last, so that a link to a picture in a class folder does not take its place.
    loose = [picture.path for name in files if (picture := walk.picture(name))]
    if loose:
        notes.append(f"{_plural(len(loose), 'picture')} outside any class folder: left out")
        walk.left_out += (Finding(Kind.MISPLACED, path, _OUTSIDE) for path in loose)
    classes = _usable_classes(root, parts, len(loose), notes)
    labelled = {name: _labelled(name, part, classes, notes) for name, part in parts.items()}
    split = _complete(labelled, seed, notes)
    _note_single_pictures(parts["train"], classes, notes)
    _note_left_out(walk, split, notes)
    return FolderContents(
        classes=tuple(_printable(name) for name in classes),
        split=split,
        has_test=bool(labelled.get("test")),
        fingerprint=_fingerprint(parts, classes),
        notes=tuple(notes),
        left_out=(
            *(_judged(found, depth=2 if is_split else 1) for found in walk.left_out),
            *_class_findings(parts, classes),
        ),
    )


def _is_split(root: str, folders: list[str]) -> bool:
    """Tell ``PATH/train/CLASS`` from a class that happens to be called train."""
    named = [name for name in folders if name.lower() in _PART_OF_NAME]
    if named and len(named) == len(folders):
        return True
    for name in named:
        if _PART_OF_NAME[name.lower()] == "train":
            inner_folders, inner_files = Walk(root).entries(name)
            return bool(inner_folders) and not _count_pictures(inner_files)
    return False


def _read_parts(walk: Walk, folders: list[str]) -> tuple[dict[str, ByClass], list[str]]:
    """Return pictures by part and class, train first, and the files outside class folders."""
    parts: dict[str, ByClass] = {"train": {}, "validation": {}, "test": {}}
    loose: list[str] = []
    for part, by_class in parts.items():
        for folder in folders:
            if _PART_OF_NAME.get(folder.lower()) != part:
                continue
            names, files = walk.entries(folder)
            loose += (f"{folder}/{name}" for name in files)
            for name in names:
                by_class.setdefault(name, []).extend(walk.pictures(f"{folder}/{name}"))
    return parts, loose


def _usable_classes(
    root: str, parts: dict[str, ByClass], loose: int, notes: list[str]
) -> tuple[str, ...]:
    """Return the folder names of the classes that have training pictures, sorted."""
    train = parts["train"]
    classes = tuple(sorted(name for name, pictures in train.items() if pictures))
    if empty := sorted(set(train) - set(classes)):
        notes.append(f"{_named('class', empty)} without pictures: left out")
    if not classes:
        if any(pictures for part in parts.values() for pictures in part.values()):
            raise DataError("no pictures to train on", where=root, remedy=_LAYOUT)
        what = "the pictures are not in class folders" if loose else "no pictures in class folders"
        raise DataError(what, where=root, remedy=_LAYOUT)
    if len(classes) == 1:
        raise DataError(
            f"only one class with pictures: {_printable(classes[0])}", where=root, remedy=_LAYOUT
        )
    if len(classes) > _MAX_CLASSES:
        raise DataError(
            f"{len(classes):,} classes are more than {_MAX_CLASSES:,}", where=root, remedy=_LAYOUT
        )
    lengths = [len(_printable(name)) for name in classes]
    if max(lengths) > MAX_CLASS_NAME or sum(lengths) > MAX_METADATA_BYTES // 4:
        raise DataError("the class names are too long", where=root, remedy="rename the folders")
    return classes


def _labelled(
    part: str, by_class: ByClass, classes: tuple[str, ...], notes: list[str]
) -> list[tuple[Item, int]]:
    """Return a part's pictures with their labels; classes are matched by name."""
    labels = {name: label for label, name in enumerate(classes)}
    if part != "train":
        unknown = sorted(name for name in by_class if by_class[name] and name not in labels)
        if unknown:
            count = sum(len(by_class[name]) for name in unknown)
            notes.append(
                f"{_named('class', unknown)} of {part} unknown to train:"
                f" {_plural(count, 'picture')} left out"
            )
    return sorted(
        (picture.path, labels[name])
        for name, pictures in by_class.items()
        if name in labels
        for picture in pictures
    )


def _complete(labelled: dict[str, list[tuple[Item, int]]], seed: int, notes: list[str]) -> Split:
    """Return the split as given, with what is missing drawn from the training pictures."""
    train = labelled["train"]
    validation = tuple(labelled.get("validation", ()))
    test = tuple(labelled.get("test", ()))
    if not validation and not test:
        notes.append(f"no split given: 70/10/20 % train, validation, test {DRAWN} {seed}")
        return stratified_split(
            train, validation=VALIDATION_FRACTION, test=TEST_FRACTION, seed=seed
        )
    if not validation:
        notes.append(f"no validation pictures: 10 % of train {DRAWN} {seed}")
        drawn = stratified_split(train, validation=VALIDATION_FRACTION, seed=seed)
        return replace(drawn, test=test)
    if not test:
        notes.append(f"no test pictures: 10 % of train {DRAWN} {seed}")
        drawn = stratified_split(train, validation=0, test=TEST_FRACTION_OF_TRAIN, seed=seed)
        return replace(drawn, validation=validation)
    return Split(train=tuple(train), validation=validation, test=test)


def _judged(found: Finding, depth: int) -> Finding:
    """Return a left-out link as what it is: its class is the folder at `depth` of its path."""
    if found.kind is not Kind.DUPLICATE or found.path.count("/") < depth:
        return found
    here, there = (path.split("/")[:depth] for path in (found.path, found.same_as))
    if here[-1] != there[-1]:
        return replace(found, kind=Kind.TWO_CLASSES)
    if _PART_OF_NAME.get(here[0].lower()) != _PART_OF_NAME.get(there[0].lower()) and depth == 2:
        return replace(found, kind=Kind.LEAK)
    return found


def _class_findings(parts: dict[str, ByClass], classes: tuple[str, ...]) -> Iterator[Finding]:
    """Yield what is odd about the class folders: empty, unknown or alike ones."""
    known = set(classes)
    yield from (
        Finding(Kind.CLASS, name, "no pictures to train on: left out")
        for name in parts["train"]
        if name not in known
    )
    for part, by_class in parts.items():
        if part == "train":
            continue
        for name, pictures in by_class.items():
            if name not in known:
                what = f"in {part}, of a class unknown to train"
                yield from (Finding(Kind.MISPLACED, picture.path, what) for picture in pictures)
    alike: dict[str, str] = {}
    for name in classes:
        first = alike.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if first != name:
            yield Finding(Kind.CLASS, name, f"differs little from {first}", same_as=first)


def _note_single_pictures(train: ByClass, classes: tuple[str, ...], notes: list[str]) -> None:
    if single := [name for name in classes if len(train[name]) == 1]:
        notes.append(f"{_named('class', single)} with a single picture: used for training")


def _note_left_out(walk: Walk, split: Split, notes: list[str]) -> None:
    endings = Counter(
        os.path.splitext(found.path)[1].lower()
        for found in walk.left_out
        if found.kind in (Kind.IGNORED, Kind.FORMAT)
    )
    if endings:
        shown = ", ".join(
            f"{count} {safe(ending, 13) or 'without ending'}"
            for ending, count in endings.most_common(5)
        )
        notes.append(f"{_plural(endings.total(), 'file')} of other kinds: left out ({shown})")
    links = [found.path for found in walk.left_out if found.same_as]
    unreadable = [
        found.path for found in walk.left_out if found.kind is Kind.UNUSABLE and not found.same_as
    ]
    if unreadable:
        notes.append(f"{_named('unreadable or special entry', unreadable)}: left out")
    if links:
        notes.append(f"{_named('link', links)} to what was counted already: left out")
    used = (*split.train, *split.validation, *split.test)
    if animated := sum(str(item).lower().endswith(".gif") for item, _ in used):
        notes.append(f"{_plural(animated, 'GIF')}: the first frame is used")


def _fingerprint(parts: dict[str, ByClass], classes: tuple[str, ...]) -> str:
    labels = {name: label for label, name in enumerate(classes)}
    lines = sorted(
        f"{picture.path}\0{picture.size}\0{picture.mtime_ns}\0{labels[name]}"
        for by_class in parts.values()
        for name, pictures in by_class.items()
        if name in labels
        for picture in pictures
    )
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _count_pictures(names: Iterable[str]) -> int:
    return sum(os.path.splitext(name)[1].lower().removeprefix(".") in EXTENSIONS for name in names)


def _printable(name: str) -> str:
    """Return a class name that any text file can hold; undecodable bytes as ``\\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _named(kind: str, names: list[str]) -> str:
    shown = ", ".join(safe(name, 40) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{_plural(len(names), kind)} ({shown}{more})"


def _plural(count: int, noun: str) -> str:
    if count == 1:
        return f"1 {noun}"
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "es" * noun.endswith("s")
    return f"{count:,} {plural if noun.endswith(('y', 's')) else noun + 's'}"
