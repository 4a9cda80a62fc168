"""Everything bad and odd that users are known to have: what is said of it, and the exit code.

Each item is put into a folder of its own, which holds ``pictures``, two classes in train, val and
test, and ``home``, with one run called ``run``. What is found in archives, befalls a run at work
or depends on the terminal is tested in ``data_tensors/test_download.py``, ``engine`` and ``tui``.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from picture_corpus import FINE, ODD, UNUSABLE, draw
from weights_corpus import FILES as WEIGHTS_FILES

PARTS = ("train", "val", "test")
NOTHING = "nothing to complain about"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item.

    Args:
        make: puts it into the folder.
        command: what a user types; ``{}`` is the folder.
        code: exit code.
        line: regular expression that begins a line of the answer, its columns one space apart.
        posix: whether other systems have no such thing.
    """

    make: Callable[[Path], object]
    command: tuple[str, ...] = ("check", "{}/pictures", "--strict")
    code: int
    line: str
    posix: bool = False


def picture(name: str, content: Callable[[], bytes], code: int, line: str) -> Item:
    return Item(
        make=lambda place: (place / "pictures/train/cat" / name).write_bytes(content()),
        code=code,
        line=line,
    )


def row(kind: str, name: str, words: str) -> str:
    """Return what begins the row of a table about a picture."""
    return rf"{kind} train/cat/{re.escape(name)} .*({words})"


PICTURES = {
    **{
        f"unusable: {kind}": picture(
            name, content, 3,
            row("(unusable|format)", name, "|".join(map(re.escape, words.split("|")))),
        )
        for kind, (name, content, words) in UNUSABLE.items()
    },
    **{
        f"odd: {kind}": picture(name, content, 0, row(finding, name, re.escape(words)))
        for kind, (name, content, finding, words) in ODD.items()
    },
    **{f"fine: {kind}": picture(*entry, 0, NOTHING) for kind, entry in FINE.items()},
}  # fmt: skip


# --- folders ---


def add_class(root: Path, name: str, *parts: str, count: int = 12) -> None:
    """Draw a class like no other."""
    for part in parts or PARTS:
        (root / part / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            draw(number, sum(map(ord, name)) % 251, len(part) + len(name)).save(
                root / part / name / f"x{number}.png"
            )


def folder(change: Callable[[Path], object], code: int, line: str, *, posix: bool = False) -> Item:
    return Item(make=lambda place: change(place / "pictures"), code=code, line=line, posix=posix)


def classes_alone(root: Path) -> None:
    for part in PARTS[1:]:
        shutil.rmtree(root / part)


def only(*kept: str) -> Callable[[Path], None]:
    """Return a change that leaves these class folders alone."""

    def change(root: Path) -> None:
        for name in kept:
            (root / "train" / name).rename(root / name)
        for part in PARTS:
            shutil.rmtree(root / part)

    return change


def spoil(pattern: str) -> Callable[[Path], None]:
    """Return a change that turns pictures into text."""

    def change(root: Path) -> None:
        for path in root.glob(pattern):
            path.write_text("text")

    return change


def make_many_classes(root: Path) -> None:
    for number in range(10_001):
        name = root / "train" / f"{number}"
        name.mkdir()
        (name / "a.png").write_bytes(b"?")


def at(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda root: make(root / name)


def bind_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(path.name)
    os.chdir(here)


def both_forms(root: Path) -> None:
    for form in ("NFC", "NFD"):
        add_class(root, unicodedata.normalize(form, "é"))


CAT = "train/cat/odd.jpg"
FOLDERS = {
    "missing": folder(shutil.rmtree, 2, r"error: no such folder \(.*pictures\): give a folder"),
    "a file": folder(
        lambda root: (shutil.rmtree(root), root.write_text("x")), 2,
        "error: a file, not a folder",
    ),
    "empty": folder(only(), 3, r"error: no pictures in class folders \(.*: give each class a fo"),
    "flat": folder(
        lambda root: (only()(root), draw(1, 2, 3).save(root / "a.png")), 3,
        "error: the pictures are not in class folders",
    ),
    "one class": folder(only("cat"), 3, "error: only one class with pictures: cat"),
    "all unusable": folder(spoil("*/*/*"), 3, "error: none of the sampled files is a picture"),
    "a class all unusable": folder(
        spoil("train/cat/*"), 3, "error: fewer than two classes with usable pictures",
    ),
    "10,001 classes": folder(make_many_classes, 3, "error: 10,003 classes are more than 10,000"),
    "an empty class": folder(at("train/ant", Path.mkdir), 3, "class ant no pictures to train on"),
    "one picture in a class": folder(
        lambda root: add_class(root, "ant", count=1), 0, "few ant only 1 to train on",
    ),
    "one picture in a class of one part": folder(
        lambda root: add_class(root, "ant", "train", count=1), 0, "few ant only 1 to train on",
    ),
    "no val": folder(at("val", shutil.rmtree), 0, NOTHING),
    "no test": folder(at("test", shutil.rmtree), 0, NOTHING),
    "no split": folder(classes_alone, 0, "few cat only 9 to train on"),
    "val lacks a class": folder(
        lambda root: add_class(root, "ant", "train", "test"), 3, "class ant no pictures in val",
    ),
    "test lacks a class": folder(
        lambda root: add_class(root, "ant", "train", "val"), 3, "class ant no pictures in test",
    ),
    "test has nothing usable of a class": folder(
        spoil("test/cat/*"), 3, "class cat no usable pictures in test",
    ),
    "val has one more": folder(
        lambda root: add_class(root, "ant", "val"), 3, "misplaced val/ant/x0.png in val",
    ),
    "test has one more": folder(
        lambda root: add_class(root, "ant", "test"), 3, "misplaced test/ant/x0.png in test",
    ),
    "a folder beside train": folder(
        lambda root: add_class(root, "ant", "other"), 3, "misplaced other beside train",
    ),
    "a picture beside train": folder(
        lambda root: draw(1, 2, 3).save(root / "a.png"), 3, "misplaced a.png outside",
    ),
    "a picture beside the classes": folder(
        lambda root: draw(1, 2, 3).save(root / "val/a.png"), 3, "misplaced val/a.png outside",
    ),
    "a rare class": folder(
        lambda root: add_class(root, "ant", count=60), 0,
        "imbalance cat 12 to train on, 60 of ant",
    ),
    "the same picture in two classes": folder(
        lambda root: shutil.copy(root / "train/cat/3.png", root / "train/dog/same.png"), 3,
        "two classes train/dog/same.png in dog, the same file as train/cat/3.png in cat",
    ),
    "the same picture in train and val": folder(
        lambda root: shutil.copy(root / "train/cat/3.png", root / "val/cat/same.png"), 3,
        "leak val/cat/same.png in validation, the same file as train/cat/3.png in train",
    ),
    "the same picture twice": folder(
        lambda root: shutil.copy(root / "train/cat/3.png", root / "train/cat/same.png"), 0,
        "duplicate train/cat/same.png the same file as train/cat/3.png",
    ),
    "a hard link": folder(
        lambda root: os.link(root / "train/cat/3.png", root / CAT), 0,
        f"duplicate {CAT} a link to train/cat/3.png, left out",
    ),
    "a link to a file": folder(
        lambda root: (root / CAT).symlink_to(root / "train/cat/3.png"), 0,
        f"duplicate {CAT} a link to train/cat/3.png, left out", posix=True,
    ),
    "a link to its folder": folder(
        lambda root: (root / CAT).symlink_to(root / "train/cat"), 3,
        f"unusable {CAT} a link to a folder that is counted already: train/cat", posix=True,
    ),
    "a link to a folder around it": folder(
        lambda root: (root / CAT).symlink_to(root / "train"), 3,
        f"unusable {CAT} a link to a folder that is counted already: train", posix=True,
    ),
    "a link to itself": folder(
        lambda root: (root / CAT).symlink_to(root / CAT), 3,
        f"unusable {CAT} a link that leads nowhere, or to itself", posix=True,
    ),
    "a broken link": folder(
        lambda root: (root / CAT).symlink_to("nowhere"), 3,
        f"unusable {CAT} a link that leads nowhere", posix=True,
    ),
    "a FIFO": folder(
        lambda root: os.mkfifo(root / CAT), 3,
        rf"unusable {CAT} not a regular file but a pipe \(FIFO\)", posix=True,
    ),
    "a socket": folder(
        at(CAT, bind_socket), 3, f"unusable {CAT} not a regular file but a socket", posix=True,
    ),
    "a device": folder(
        lambda root: (root / CAT).symlink_to("/dev/zero"), 3,
        f"unusable {CAT} not a regular file but a device", posix=True,
    ),
    "a hidden folder": folder(lambda root: add_class(root, ".cache"), 0, NOTHING),
    "a folder of another system": folder(lambda root: add_class(root, "__MACOSX"), 0, NOTHING),
    "other files": folder(
        at("train/cat/notes.txt", Path.touch), 0,
        "ignored train/cat/notes.txt not a picture by its name",
    ),
    "names that differ in case": folder(
        lambda root: add_class(root, "Cat"), 3, "class cat differs little from Cat", posix=True,
    ),
    "names that differ in form": folder(
        both_forms, 3, "class e?é? differs little from e?é?", posix=True,
    ),
    **{
        f"a class name with {what}": folder(
            lambda root, name=name: add_class(root, name, count=5), 0,
            f"few {re.escape(shown)} only 5 to train on", posix=True,
        )
        for what, name, shown in [
            ("a space", "big cat", "big cat"),
            ("a picture", "😀", "😀"),
            ("letters from right to left", "קטן", "קטן"),
            ("a turn to the left", "\u202egnp", r"\u202egnp"),
            ("a dash", "-rf", "-rf"),
            ("a line break", "new\nline", r"new\nline"),
            ("markup", "[red]", "[red]"),
            ("OSC 52", "\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
            ("C1", "\x9b31m", r"\x9b31m"),
            ("as many letters as can be", "x" * 255, "x" * 255),
            ("no UTF-8", "caf\udce9", r"caf\xe9"),
        ]
    },
}  # fmt: skip


# --- weights and configurations ---

WEIGHTS = {
    kind: Item(
        make=lambda place, make=make: (place / "m.safetensors").write_bytes(make()),
        command=("predict", "{}/pictures", "--model", "{}/m.safetensors"),
        code=4,
        line=f"error: .*({words})",
    )
    for kind, (make, words) in WEIGHTS_FILES.items()
}


def configuration(content: Callable[[bytes], bytes], code: int, line: str) -> Item:
    def change(place: Path) -> None:
        path = place / "home/runs/run/run.toml"
        path.write_bytes(content(path.read_bytes()))

    return Item(make=change, command=("runs", "show", "run"), code=code, line=line)


def empty_terabyte(place: Path) -> None:
    os.truncate(place / "home/runs/run/run.toml", 2**40)


UNREADABLE = r"error: no readable run\.toml \(.*\): see 'vixtui runs list'"
LAUGHS = b'lol: &a ["x"]\n' + b"".join(
    b"%c: &%c [%s]\n" % (name, name, b",".join(9 * [b"*%c" % (name - 1)])) for name in b"bcdefghi"
)
CONFIGURATIONS = {
    "a Python object in YAML": configuration(
        lambda _: b"!!python/object/apply:os.system ['exit']", 2, UNREADABLE
    ),
    "a billion laughs": configuration(lambda _: LAUGHS, 2, UNREADABLE),
    "deep": configuration(lambda _: b"a = " + b"[" * 100_000, 2, UNREADABLE),
    "no text": configuration(lambda _: os.urandom(1000), 2, UNREADABLE),
    "a terabyte": Item(
        make=empty_terabyte, command=("runs", "show", "run"), code=2, line=UNREADABLE
    ),
    "an unknown key": configuration(lambda good: b'mood = "good"\n' + good, 0, "run run"),
    "a wrong type": configuration(
        lambda good: good.replace(b"seed = 0", b'seed = "0"'), 2,
        r"error: run\.toml is damaged: seed must be int \(",
    ),
    "a missing key": configuration(
        lambda good: good.replace(b"seed = 0\n", b""), 2,
        r"error: run\.toml is damaged: seed is missing \(",
    ),
    "a huge model": configuration(
        lambda good: good.replace(b"embed_dim = 8", b"embed_dim = 8000000000"), 2,
        r"error: run\.toml is damaged: embed_dim must be between",
    ),
    "a newer schema": configuration(
        lambda good: good.replace(b"schema_version = 1", b"schema_version = 2"), 2,
        r"error: run\.toml has another schema \(.*\): update vixtui",
    ),
}  # fmt: skip

CORPUS = {
    f"{section}: {name}": item
    for section, items in {
        "picture": PICTURES,
        "folder": FOLDERS,
        "weights": WEIGHTS,
        "run.toml": CONFIGURATIONS,
    }.items()
    for name, item in items.items()
    if sys.platform != "win32" or not item.posix
}
