"""Training, validation and test pictures: stratified, seeded, written down."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

Item = str | int
"""A picture: its path relative to the source's folder, or its number in a built-in set."""

Labelled = tuple[tuple[Item, int], ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Which picture is used for what; each entry is (picture, label)."""

    train: Labelled
    validation: Labelled
    test: Labelled

    def to_json(self) -> bytes:
        """Return ``split.json``; undecodable file names survive as escaped surrogates."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return json.dumps(parts, separators=(",", ":")).encode("ascii")

    @classmethod
    def from_json(cls, content: bytes) -> Split:
        """Read ``split.json`` back.

        Raises:
            ValueError: when it is damaged.
        """
        parts = json.loads(content)
        try:
            split = cls(
                *(
                    tuple((item, int(label)) for item, label in parts[name])
                    for name in ("train", "validation", "test")
                )
            )
            labelled = (*split.train, *split.validation, *split.test)
            if not all(isinstance(item, str | int) for item, _ in labelled):
                raise TypeError
            return split
        except (KeyError, TypeError) as error:
            raise ValueError("not a split") from error


def stratified_split(
    pictures: Sequence[tuple[Item, int]], *, validation: float, test: float = 0.0, seed: int
) -> Split:
    """Draw validation and test pictures from every class in the same proportion.

    Each class keeps at least one picture for training, then gives at least one to validation and
    one to test where it has enough. A class's draw depends on its own pictures and `seed` alone.

    Args:
        pictures: (picture, label) pairs; their order decides the draw.
        validation, test: fractions of each class; 0 leaves that part empty.
        seed: the same seed draws the same pictures on every system.
    """
    by_class: dict[int, list[int]] = {}
    for position, (_, label) in enumerate(pictures):
        by_class.setdefault(label, []).append(position)
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for label, positions in by_class.items():
        random.Random(f"{seed}:{label}").shuffle(positions)
        held_out = _share(len(positions), validation, spare=1)
        tested = _share(len(positions), test, spare=1 + held_out)
        parts["validation"] += positions[:held_out]
        parts["test"] += positions[held_out : held_out + tested]
        parts["train"] += positions[held_out + tested :]
    return Split(
        **{name: tuple(pictures[i] for i in sorted(chosen)) for name, chosen in parts.items()}
    )


def cross_validation(
    pictures: Sequence[tuple[Item, int]], *, folds: int, validation: float, seed: int
) -> tuple[Split, ...]:
    """Return splits of which each tests another part, so that every picture is tested once.

    The parts are stratified and differ by at most one picture of a class. What is left of each
    split is divided into training and validation by `stratified_split`.

    Args:
        pictures: (picture, label) pairs; their order decides the draw.
        folds: number of parts, 2 or more.
        validation: fraction of the pictures that are not tested.
        seed: the same seed draws the same parts on every system.

    Raises:
        ValueError: when a class has fewer pictures than there are parts.
    """
    by_class: dict[int, list[int]] = {}
    for position, (_, label) in enumerate(pictures):
        by_class.setdefault(label, []).append(position)
    fold_of: dict[int, int] = {}
    for label, positions in by_class.items():
        if len(positions) < folds:
            raise ValueError(f"a class has {len(positions)} pictures, fewer than {folds} folds")
        random.Random(f"{seed}:{label}:folds").shuffle(positions)
        # Another fold begins with each class, so that the first ones do not get every odd picture.
        fold_of |= {place: (index + label) % folds for index, place in enumerate(positions)}
    splits = []
    for fold in range(folds):
        tested = tuple(entry for i, entry in enumerate(pictures) if fold_of[i] == fold)
        rest = [entry for i, entry in enumerate(pictures) if fold_of[i] != fold]
        split = stratified_split(rest, validation=validation, seed=seed)
        splits.append(Split(train=split.train, validation=split.validation, test=tested))
    return tuple(splits)


def _share(count: int, fraction: float, *, spare: int) -> int:
    """Return how many of `count` pictures a part takes when `spare` of them are spoken for."""
    if fraction <= 0:
        return 0
    return max(0, min(max(1, round(count * fraction)), count - spare))
