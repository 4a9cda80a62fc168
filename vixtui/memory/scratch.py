"""What a kernel allocates inside itself, where a trace of operations cannot see it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scratch:
    """Sizes in bytes of blocks that live only while a kernel runs.

    Args:
        before: allocated before the results.
        after: allocated when the results are.
    """

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


NONE = Scratch()
