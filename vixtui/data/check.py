"""A data set looked through before anything is learned from it.

Every picture is decoded as the model will see it. What training does by the way with the pictures
that it decodes anyway, ``vixtui check`` does alone; both end in `picture_findings`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from vixtui.data import builtin
from vixtui.data.examine import PictureFacts, examine
from vixtui.data.findings import Finding, Kind, in_order
from vixtui.data.sources import DataSource
from vixtui.data.split import Item, Labelled, Split
from vixtui.errors import DataError, UsageError

Facts = Mapping[Item, PictureFacts | str]

_CHUNK = 64
_FEW_PICTURES = 10
_IMBALANCE = 5
_EXTREME_PROPORTION = 3
_IN_WORDS = {
    Kind.BLANK: "one colour throughout",
    Kind.ROTATED: "turned upright, as its EXIF note says",
    Kind.DEEP: "more than 8 bits a channel: scaled to 8",
    Kind.ALPHA: "has an alpha channel: put on white",
    Kind.CMYK: "converted to RGB",
    Kind.ANIMATED: "more than one frame: the first is used",
}


@dataclass(frozen=True, slots=True)
class ClassCount:
    """A class, its name not yet safe to show, and its usable pictures in each part."""

    name: str
    train: int
    validation: int
    test: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a check has found.

    Args:
        source: absolute path of the folder.
        pictures: looked at.
        usable: that can be decoded.
        classes: in label order.
        findings: problems first.
    """

    source: str
    pictures: int
    usable: int
    classes: tuple[ClassCount, ...]
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings at which ``--strict`` stops."""
        return tuple(found for found in self.findings if found.is_problem)


def check_source(
    source: DataSource, *, threads: int, on_progress: Callable[[int, int], None]
) -> Report:
    """Decode every picture of a folder and say what is wrong or odd; nothing is written.

    Args:
        source: an opened folder or public set.
        threads: decoders at a time.
        on_progress: told how many pictures are done and how many there are.

    Raises:
        UsageError: for a built-in set.
    """
    if builtin.is_builtin(source.source):
        raise UsageError(
            "a built-in set needs no check", where=source.source, remedy="name a folder"
        )
    split = source.split
    facts = _examine_all(
        source, (*split.train, *split.validation, *split.test), threads, on_progress
    )
    findings = picture_findings(
        split,
        facts,
        classes=source.classes,
        height=source.image_height,
        width=source.image_width,
    )
    usable = [_usable_by_class(part, facts) for part in (split.train, split.validation, split.test)]
    return Report(
        source=source.source,
        pictures=len(facts),
        usable=sum(part.total() for part in usable),
        classes=tuple(
            ClassCount(name, *(part[label] for part in usable))
            for label, name in enumerate(source.classes)
        ),
        findings=in_order((*source.left_out, *findings)),
    )


def picture_findings(
    split: Split, facts: Facts, *, classes: tuple[str, ...], height: int, width: int
) -> list[Finding]:
    """Return what is wrong or odd about the pictures of a split.

    Args:
        split: who trains, validates, tests.
        facts: about the pictures of the split, or why one cannot be used.
        classes: names in label order.
        height, width: of the model's input in pixels.
    """
    findings = [
        *_same_pictures(split, facts, classes, f"{width}×{height} pixels"),
        *_small_classes(split, facts, classes),
        *_missing_classes(split, facts, classes),
    ]
    for item, known in facts.items():
        path = str(item)
        if isinstance(known, str):
            findings.append(Finding(Kind.UNUSABLE, path, known))
            continue
        findings += (Finding(kind, path, _IN_WORDS[kind]) for kind in known.kinds)
        if what := _odd_size(known, height, width):
            findings.append(Finding(Kind.SIZE, path, what))
    return findings


def _examine_all(
    source: DataSource,
    items: Labelled,
    threads: int,
    on_progress: Callable[[int, int], None],
) -> dict[Item, PictureFacts | str]:
    def examine_chunk(start: int) -> list[tuple[Item, PictureFacts | str]]:
        return [(item, _examine(source, item)) for item, _ in items[start : start + _CHUNK]]

    facts: dict[Item, PictureFacts | str] = {}
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for chunk in pool.map(examine_chunk, range(0, len(items), _CHUNK)):
            facts.update(chunk)
            on_progress(len(facts), len(items))
    return facts


def _examine(source: DataSource, item: Item) -> PictureFacts | str:
    try:
        return examine(
            os.path.join(source.source, str(item)),
            height=source.image_height,
            width=source.image_width,
            grey=source.in_channels == 1,
        )[1]
    except DataError as error:
        return error.what


def _same_pictures(
    split: Split, facts: Facts, classes: tuple[str, ...], size: str
) -> Iterator[Finding]:
    """Yield each picture that an earlier one equals, train before validation before test."""
    first: dict[bytes, tuple[str, str, int, bytes]] = {}
    for part, labelled in _parts(split):
        for item, label in labelled:
            known = facts.get(item)
            if not isinstance(known, PictureFacts):
                continue
            here = (str(item), part, label, known.content)
            path, other_part, other_label, content = first.setdefault(known.pixels, here)
            if path == here[0]:
                continue
            same = f"the same {'file' if content == known.content else f'at {size}'} as {path}"
            if label != other_label:
                what = f"in {classes[label]}, {same} in {classes[other_label]}"
                yield Finding(Kind.TWO_CLASSES, here[0], what, path)
            if part != other_part:
                what = f"in {part}, {same} in {other_part}"
                yield Finding(Kind.LEAK, here[0], what, path)
            if (label, part) == (other_label, other_part):
                yield Finding(Kind.DUPLICATE, here[0], same, path)


def _small_classes(split: Split, facts: Facts, classes: tuple[str, ...]) -> Iterator[Finding]:
    """Yield the classes with too few usable training pictures, absolutely or beside others."""
    train = _usable_by_class(split.train, facts)
    largest = max(range(len(classes)), key=lambda label: train[label])
    for label, name in enumerate(classes):
        count = train[label]
        if count == 0:
            yield Finding(Kind.CLASS, name, "no usable pictures to train on")
        elif count < _FEW_PICTURES:
            yield Finding(Kind.FEW, name, f"only {count} to train on")
        if 0 < count * _IMBALANCE <= train[largest]:
            what = f"{count:,} to train on, {train[largest]:,} of {classes[largest]}"
            yield Finding(Kind.IMBALANCE, name, what)


def _missing_classes(split: Split, facts: Facts, classes: tuple[str, ...]) -> Iterator[Finding]:
    """Yield the classes that are not judged, because validation or test has nothing of them.

    It cannot be helped where a class has fewer pictures than there are parts.
    """
    usable = {part: _usable_by_class(labelled, facts) for part, labelled in _parts(split)}
    for part, labelled in _parts(split)[1:]:
        present = {label for _, label in labelled}
        for label, name in enumerate(classes):
            if not labelled or usable[part][label] or not usable["train"][label]:
                continue
            few = sum(count[label] for count in usable.values()) < len(usable)
            what = "no usable pictures" if label in present else "no pictures"
            yield Finding(Kind.FEW if few else Kind.CLASS, name, f"{what} in {part}")


def _usable_by_class(part: Labelled, facts: Facts) -> Counter[int]:
    return Counter(label for item, label in part if isinstance(facts.get(item), PictureFacts))


def _odd_size(known: PictureFacts, height: int, width: int) -> str:
    size = f"{known.width}×{known.height} pixels"
    if 2 * known.width < width or 2 * known.height < height:
        return f"{size}: much enlarged"
    proportion = (known.width * height) / (known.height * width)
    if not 1 / _EXTREME_PROPORTION <= proportion <= _EXTREME_PROPORTION:
        return f"{size}: only the middle is used"
    return ""


def _parts(split: Split) -> tuple[tuple[str, Labelled], ...]:
    return ("train", split.train), ("validation", split.validation), ("test", split.test)
