"""Where pictures come from, looked at without decoding them all."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from vixtui.data import builtin
from vixtui.data.findings import Finding
from vixtui.data.folder import DRAWN, VALIDATION_FRACTION, read_folder
from vixtui.data.split import Split, cross_validation
from vixtui.errors import DataError, UsageError
from vixtui.paths import data_dir

MIN_IMAGE_SIZE = 8
MAX_IMAGE_SIZE = 512
_MAX_SUGGESTED_SIZE = 64
_SAMPLED_PICTURES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSource:
    """A data set that a run can use.

    Args:
        source: ``digits``, ``shapes`` or the absolute path of a folder.
        classes: names in label order; outside text, not yet safe to show.
        image_height, image_width: suggested model input in pixels.
        in_channels: 1 when every sampled picture is grey, else 3.
        fingerprint: changes when the set of pictures changes.
        horizontal_flip: whether a mirrored picture keeps its class.
        split: who trains, validates, tests.
        has_test: whether the source itself says which pictures are for testing.
        fold, folds: which part of how many is tested, from 1; 0 without cross-validation.
        notes: one line each on what was left out or assumed.
        left_out: every file that was, and what is odd about the class folders.
    """

    source: str
    classes: tuple[str, ...]
    image_height: int
    image_width: int
    in_channels: int
    fingerprint: str
    horizontal_flip: bool
    split: Split
    has_test: bool = True
    fold: int = 0
    folds: int = 0
    notes: tuple[str, ...] = ()
    left_out: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicSet:
    """A public data set that ``--download`` fetches once.

    Args:
        title: for people.
        homepage: where it is described.
        licence: as its authors state it.
        megabytes: size of the download.
        horizontal_flip: whether a mirrored picture keeps its class.
    """

    title: str
    homepage: str
    licence: str
    megabytes: int
    horizontal_flip: bool = True


PUBLIC_SETS: MappingProxyType[str, PublicSet] = MappingProxyType(
    {
        "cifar10": PublicSet(
            title="CIFAR-10: 60,000 photos 32×32, 10 classes",
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
            licence="none stated",
            megabytes=170,
        ),
        "cifar100": PublicSet(
            title="CIFAR-100: 60,000 photos 32×32, 100 classes",
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
            licence="none stated",
            megabytes=169,
        ),
        "mnist": PublicSet(
            title="MNIST: 70,000 handwritten digits 28×28, 10 classes",
            homepage="https://yann.lecun.com/exdb/mnist/",
            licence="CC BY-SA 3.0",
            megabytes=12,
            horizontal_flip=False,
        ),
        "fashion-mnist": PublicSet(
            title="Fashion-MNIST: 70,000 grey pictures of clothes 28×28, 10 classes",
            homepage="https://github.com/zalandoresearch/fashion-mnist",
            licence="MIT",
            megabytes=31,
        ),
        "eurosat": PublicSet(
            title="EuroSAT: 27,000 satellite pictures 64×64, 10 classes",
            homepage="https://github.com/phelber/EuroSAT",
            licence="MIT",
            megabytes=94,
        ),
        "stl10": PublicSet(
            title="STL-10: 13,000 labelled photos 96×96, 10 classes",
            homepage="https://cs.stanford.edu/~acoates/stl10/",
            licence="none stated",
            megabytes=2640,
        ),
        "flowers102": PublicSet(
            title="Oxford 102 Flowers: 8,189 photos, 102 classes",
            homepage="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
            licence="none stated",
            megabytes=345,
        ),
        "oxford-pets": PublicSet(
            title="Oxford-IIIT Pets: 7,349 photos, 37 breeds",
            homepage="https://www.robots.ox.ac.uk/~vgg/data/pets/",
            licence="CC BY-SA 4.0",
            megabytes=811,
        ),
    }
)


def open_source(source: str, *, seed: int = 0, image_size: int | None = None) -> DataSource:
    """Find a data set and describe it; a folder's pictures are listed, a few headers read.

    Names of built-in and public sets come before folders of the same name: ``./digits`` is the
    folder.

    Args:
        source: ``digits``, ``shapes``, ``shapes:difficulty=0.8,images=4000``, the name of a
            downloaded public set, or the path of a folder.
        seed: draws the splits that the source does not give.
        image_size: pixels a side of the model's input, 8 to 512, instead of a suggested size.

    Raises:
        UsageError: when there is no such source, or `image_size` is out of range.
        DataError: when a folder holds nothing to learn from.
    """
    if image_size is not None and not MIN_IMAGE_SIZE <= image_size <= MAX_IMAGE_SIZE:
        raise UsageError(
            f"{image_size} pixels a side",
            where="--image-size",
            remedy=f"choose {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE}",
        )
    if builtin.is_builtin(source):
        return _open_builtin(source, seed, image_size)
    if source in PUBLIC_SETS:
        return _open_folder(_downloaded(source), seed, image_size)
    return _open_folder(_existing_folder(source), seed, image_size)


def open_folds(source: DataSource, folds: int, *, seed: int) -> tuple[DataSource, ...]:
    """Return a source once for every fold of a cross-validation.

    Test pictures that the source itself names stay out of it.

    Args:
        source: whose pictures are divided.
        folds: number of parts, 2 or more.
        seed: draws them.

    Raises:
        DataError: when a class has fewer pictures than there are folds.
    """
    split = source.split
    pool = [*split.train, *split.validation, *(() if source.has_test else split.test)]
    pool.sort(key=lambda entry: (entry[1], str(entry[0])))
    try:
        splits = cross_validation(pool, folds=folds, validation=VALIDATION_FRACTION, seed=seed)
    except ValueError as error:
        raise DataError(
            str(error), where=source.source, remedy="give fewer --folds, or more pictures"
        ) from error
    notes = tuple(note for note in source.notes if DRAWN not in note)  # folds are drawn anew
    return tuple(
        replace(source, split=split, fold=index, folds=folds, notes=notes)
        for index, split in enumerate(splits, start=1)
    )


def _open_builtin(source: str, seed: int, image_size: int | None) -> DataSource:
    found = builtin.builtin_set(source)
    side = image_size or found.image_size
    return DataSource(
        source=found.source,
        classes=found.classes,
        image_height=side,
        image_width=side,
        in_channels=found.in_channels,
        fingerprint=found.fingerprint,
        horizontal_flip=found.horizontal_flip,
        split=found.split(seed),
    )


def _open_folder(root: str, seed: int, image_size: int | None) -> DataSource:
    contents = read_folder(root, seed=seed)
    paths = [os.path.join(root, str(item)) for item, _ in contents.split.train]
    side, channels = _look_at(root, paths)
    parent, name = os.path.split(root)
    public = PUBLIC_SETS.get(name) if parent == os.path.abspath(data_dir()) else None
    return DataSource(
        source=root,
        classes=contents.classes,
        image_height=image_size or side,
        image_width=image_size or side,
        in_channels=channels,
        fingerprint=contents.fingerprint,
        horizontal_flip=public is None or public.horizontal_flip,
        split=contents.split,
        has_test=contents.has_test,
        notes=contents.notes,
        left_out=contents.left_out,
    )


def _look_at(root: str, paths: Sequence[str]) -> tuple[int, int]:
    """Return the suggested side in pixels and the channels, from the headers of a sample.

    The side is the median of the shorter sides, 8 to 64, rounded down to a multiple of 4: small
    pictures keep their pixels, photos become small enough for a small machine.

    Raises:
        DataError: when not one of the sample is a picture.
    """
    from vixtui.data.pictures import read_header

    step = max(1, len(paths) // _SAMPLED_PICTURES)
    sides: list[int] = []
    all_grey = True
    problem: DataError | None = None
    for path in paths[::step][:_SAMPLED_PICTURES]:
        try:
            width, height, grey = read_header(path)
        except DataError as error:
            problem = problem or error
            continue
        sides.append(min(width, height))
        all_grey = all_grey and grey
    if problem is not None and not sides:
        raise DataError(
            f"none of the sampled files is a picture; the first is {problem.what}",
            where=problem.where,
            remedy="give a folder of pictures",
        ) from problem
    median = int(statistics.median(sides))
    side = min(max(median, MIN_IMAGE_SIZE), _MAX_SUGGESTED_SIZE)
    return side - side % 4, 1 if all_grey else 3


def _downloaded(name: str) -> str:
    path = data_dir() / name
    if not path.is_dir():
        raise UsageError(
            f"{name} is not on this machine",
            where=path,
            remedy=f"add --download to fetch it ({PUBLIC_SETS[name].megabytes} MB, once)",
        )
    return os.path.abspath(path)


def _existing_folder(source: str) -> str:
    path = os.path.abspath(os.path.expanduser(source))
    if source.strip() and os.path.isdir(path):
        return path
    names = ", ".join((*builtin.NAMES, *PUBLIC_SETS))
    if source.strip() and os.path.exists(path):
        raise UsageError("a file, not a folder", where=source, remedy="give the folder around it")
    raise UsageError("no such folder", where=source, remedy=f"give a folder of pictures or {names}")
