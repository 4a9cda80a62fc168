"""What a kernel allocates inside itself, where a trace of operations cannot see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class Buffer(Protocol):
    """A buffer whose size is no linear function of the batch."""

    def at(self, batch: int) -> int:
        """Return its bytes for so many pictures."""


Size = int | Buffer
"""Bytes for `vixtui.memory.linear.BATCH` pictures, or what they follow from."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """Sizes of blocks that live only while a kernel runs; the last ones are given back first.

    Args:
        first: allocated before all others, given back before the results are allocated.
        before: allocated before the results.
        passing: allocated before the results, too, and given back after the first of them.
        amid: allocated after the first result.
        after: allocated after the results.
        then: allocated when those in `after` are given back.
        order: in which the results are allocated, if not as they are returned.
    """

    first: tuple[Size, ...] = ()
    before: tuple[Size, ...] = ()
    passing: tuple[Size, ...] = ()
    amid: tuple[Size, ...] = ()
    after: tuple[Size, ...] = ()
    then: tuple[Size, ...] = ()
    order: tuple[int, ...] = ()


NONE = Scratch()


def is_depthwise(image: Any, weight: Any) -> bool:
    """Tell whether a convolution of (b, c, h, w) takes each channel by itself."""
    return bool(weight.shape[1] == 1 and image.shape[1] > 1)
