"""Folders of pictures that are laid out badly."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from situations import CLASSES, SIZES, Place, Verdict, situation, split_of

from vixtui.runs.events import DataChecked, Finished

TRAINED, VALIDATED = (len(CLASSES) * count for count in SIZES.values())


def warned(place: Place, *words: str, also: bool = True) -> Verdict:
    """Train; the line with these words must come, and the run end well."""
    done = place.train()
    line = done.line(*words)
    ended = done.code == 0 and place.event(Finished) is not None
    return Verdict(line, done.code, ended and bool(line) and also)


def refused(place: Place, *words: str, code: int) -> Verdict:
    """Train; it must end at once with one line that has these words."""
    done = place.train()
    good = done.code == code and done.is_one_line and bool(done.line(*words))
    return Verdict(done.line("error"), done.code, good and not place.run().path.exists())


def labels_are_right(place: Place) -> bool:
    """Tell whether every picture has the label of the class whose folder it lies in."""
    run = place.run()
    classes = run.config().data.classes
    pairs = [pair for part in split_of(run).values() for pair in part]
    return all(classes[label] == Path(str(name)).parts[-2] for name, label in pairs)


@situation("empty class folder", "warn and drop, or exit 3")
def _(place: Place) -> Verdict:
    (place.pictures / "train" / "empty").mkdir()
    verdict = warned(place, "empty", "without pictures", "left out")
    return Verdict(verdict.said, verdict.code, verdict.good and labels_are_right(place))


@situation("symlink loop", "not followed, or each folder once")
def _(place: Place) -> Verdict:
    (place.pictures / "train" / "cat" / "self").symlink_to(place.pictures / "train" / "cat")
    (place.pictures / "train" / "dog" / "up").symlink_to(place.pictures)
    verdict = warned(place, "left out")
    counted = place.event(DataChecked)
    good = verdict.good and counted.train + counted.test == TRAINED
    return Verdict(f"{verdict.said}; {counted.train + counted.test} pictures", verdict.code, good)


@situation("`.DS_Store`, `Thumbs.db`, `._x.jpg`, `.ipynb_checkpoints/`", "ignored as hidden")
def _(place: Place) -> Verdict:
    for name in (".DS_Store", "Thumbs.db", "cat/._x.jpg", ".ipynb_checkpoints/0.png"):
        place.add(f"train/{name}", b"no picture")
    done = place.train()
    noise = done.line("DS_Store") or done.line("Thumbs") or done.line("._x") or done.line("ipynb")
    classes = place.run().config().data.classes
    counted = place.event(DataChecked)
    good = done.code == 0 and not noise and classes == CLASSES and counted.unusable == 0
    return Verdict(noise or f"{len(classes)} classes, none unusable", done.code, good)


@situation("missing path", "one line, exit 2")
def _(place: Place) -> Verdict:
    shutil.rmtree(place.pictures)
    return refused(place, "no such", code=2)


@situation("flat folder, no classes", "one line with the expected layout, exit 3")
def _(place: Place) -> Verdict:
    shutil.copytree(place.pictures / "train" / "cat", place.root / "flat")
    place.pictures = place.root / "flat"
    return refused(place, "class folders", "CLASS", code=3)


@situation("no val folder", "stratified split, seeded, written down")
def _(place: Place) -> Verdict:
    shutil.rmtree(place.pictures / "val")
    verdict = warned(place, "drawn by seed 0")
    parts = {part: [name for name, _ in pairs] for part, pairs in split_of(place.run()).items()}
    disjoint = len({name for names in parts.values() for name in names}) == TRAINED
    sizes = {name: sum(f"/{name}/" in path for path in parts["validation"]) for name in CLASSES}
    good = disjoint and len(set(sizes.values())) == 1 and min(sizes.values()) > 0
    return Verdict(verdict.said, verdict.code, verdict.good and good)


@situation("val/ lacks the first class", "labels by name, no shift")
def _(place: Place) -> Verdict:
    shutil.rmtree(place.pictures / "val" / CLASSES[0])
    done = place.train()
    line = done.line("ant", "no pictures in val")
    right = labels_are_right(place)
    said = f"{line}; labels {'by name' if right else 'SHIFTED'}"
    return Verdict(said, done.code, done.code == 0 and right and bool(line))


@situation("val/ has an unknown class", "warn and skip")
def _(place: Place) -> Verdict:
    shutil.copytree(place.pictures / "train" / "cat", place.pictures / "val" / "aardvark")
    verdict = warned(place, "aardvark", "unknown to train", "left out")
    good = labels_are_right(place) and place.event(DataChecked).validation == VALIDATED
    return Verdict(verdict.said, verdict.code, verdict.good and good)


@situation("one class only", "exit 3")
def _(place: Place) -> Verdict:
    for part in SIZES:
        for name in CLASSES[1:]:
            shutil.rmtree(place.pictures / part / name)
    return refused(place, "only one class", code=3)


@situation("names in unicode, with spaces, not UTF-8", "ok, and sorted the same on each system")
def _(place: Place) -> Verdict:
    names = [b"a b", "Ünïcödé 猫".encode(), b"caf\xe9", b"[red]", b"new\nline", b"-rf"]
    for name in names:
        folder = os.fsencode(place.pictures / "train" / "cat")
        os.rename(
            os.path.join(folder, b"%d.png" % names.index(name)), folder + b"/" + name + b".png"
        )
    (place.pictures / "train" / "bee").rename(place.pictures / "train" / "bée 🐝")
    (place.pictures / "val" / "bee").rename(place.pictures / "val" / "bée 🐝")
    done = place.train()
    counted = place.event(DataChecked)
    pairs = split_of(place.run())["validation"]
    in_order = pairs == sorted(pairs)
    good = done.code == 0 and counted.unusable == 0 and in_order and labels_are_right(place)
    return Verdict(done.line("pictures to train"), done.code, good)


@situation("the same picture in train and val, and in two classes", "told; `--strict` exits 3")
def _(place: Place) -> Verdict:
    shutil.copy(place.pictures / "train/cat/3.png", place.pictures / "val/cat/leak.png")
    shutil.copy(place.pictures / "train/cat/4.png", place.pictures / "train/dog/cat.png")
    done = place.train()
    leak, doubled = done.line("leak", "val/cat/leak.png"), done.line("two classes", "cat.png")
    strict = place.train("--strict", name="strict")
    good = done.code == 0 and bool(leak) and bool(doubled) and strict.code == 3
    return Verdict(f"{leak} / {doubled}", done.code, good)


@situation("one class has ten times the pictures", "told, and what to do about it")
def _(place: Place) -> Verdict:
    for number in range(2, SIZES["train"]):
        (place.pictures / f"train/ant/{number}.png").unlink()
    done = place.train()
    line = done.line("imbalance") or done.line("ant", "few")
    advised = done.line("--balance")
    return Verdict(" / ".join(filter(None, (line, advised))), done.code, bool(line and advised))
