"""What is odd about a data set, in a form that tables, files and programs can use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from vixtui.text import safe


class Kind(StrEnum):
    """What was found, in the order in which one wants to know."""

    UNUSABLE = "unusable"
    FORMAT = "format"
    MISPLACED = "misplaced"
    TWO_CLASSES = "two classes"
    LEAK = "leak"
    CLASS = "class"
    DUPLICATE = "duplicate"
    FEW = "few"
    IMBALANCE = "imbalance"
    BLANK = "blank"
    SIZE = "size"
    ROTATED = "rotated"
    DEEP = "16-bit"
    ALPHA = "alpha"
    CMYK = "CMYK"
    ANIMATED = "animated"
    IGNORED = "ignored"


PROBLEMS = frozenset(
    {Kind.UNUSABLE, Kind.FORMAT, Kind.MISPLACED, Kind.TWO_CLASSES, Kind.LEAK, Kind.CLASS}
)
"""Findings that cost pictures or make the result untrue; the others are only worth knowing."""
HANDLED = frozenset({Kind.ROTATED, Kind.DEEP, Kind.ALPHA, Kind.CMYK, Kind.ANIMATED})
"""What is done to these pictures is right for nearly everyone."""
REMEDIES = {Kind.IMBALANCE: "train with --balance sampling"}
"""Options that make up for what was found."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one file or folder.

    Args:
        kind: what was found.
        path: of the file or folder, relative to the source's folder, ``/`` between; or the name
            of a class. Outside text, not yet safe to show.
        reason: for people; names other paths, so not yet safe either.
        same_as: path of the file or folder that this one equals.
    """

    kind: Kind
    path: str
    reason: str
    same_as: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether ``--strict`` stops at it."""
        return self.kind in PROBLEMS


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by kind, then path: the same order on every system."""
    rank = {kind: index for index, kind in enumerate(Kind)}
    return tuple(sorted(findings, key=lambda found: (rank[found.kind], found.path, found.reason)))


def counts(findings: Iterable[Finding]) -> dict[Kind, int]:
    """Return how many there are of each kind that there is, in the order of `Kind`."""
    number = Counter(found.kind for found in findings)
    return {kind: number[kind] for kind in Kind if number[kind]}


def headlines(findings: Iterable[Finding], *, made_up_for: Collection[Kind] = ()) -> list[str]:
    """Return one line for each kind that there is, the first of it as example; safe to show.

    What is handled shares one line.

    Args:
        findings: of any kind.
        made_up_for: kinds whose remedy is applied already.
    """
    ordered = in_order(findings)
    number = counts(ordered)
    lines = []
    for kind, count in number.items():
        if kind in HANDLED:
            continue
        first = next(found for found in ordered if found.kind is kind)
        more = f" (and {count - 1:,} more: see 'vixtui check')" if count > 1 else ""
        remedy = f": {REMEDIES[kind]}" if kind in REMEDIES and kind not in made_up_for else ""
        lines.append(safe(f"{kind}: {first.path}: {first.reason}{more}{remedy}"))
    if handled := [f"{count:,} {kind}" for kind, count in number.items() if kind in HANDLED]:
        lines.append(f"handled: {', '.join(handled)}")
    return lines
