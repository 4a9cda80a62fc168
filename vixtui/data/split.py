"""Training, validation and test pictures: stratified, seeded, written down."""

from __future__ import annotations

import json
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
            return cls(
                *(
                    tuple((item, int(label)) for item, label in parts[name])
                    for name in ("train", "validation", "test")
                )
            )
        except (KeyError, TypeError) as error:
            raise ValueError("not a split") from error
