"""Figures that grow with the batch, told from one trace of a batch so large that its part shows."""

from __future__ import annotations

from dataclasses import dataclass

BATCH = 5 * 10**8 + 9
"""Pictures of a traced batch: a figure of a + b · batch tells a and b if |a| is under half of it.

Tensors of the meta device take no memory, of whatever size.
"""


@dataclass(frozen=True, slots=True)
class Linear:
    """A figure of fixed + each · batch."""

    fixed: int = 0
    each: int = 0

    def at(self, batch: int) -> int:
        """Return the figure for so many pictures."""
        return self.fixed + self.each * batch

    def __add__(self, other: Linear) -> Linear:
        return Linear(self.fixed + other.fixed, self.each + other.each)


NOTHING = Linear()


def linear(value: int) -> Linear:
    """Return what a figure for `BATCH` pictures is made of."""
    each = (value + BATCH // 2) // BATCH
    return Linear(value - each * BATCH, each)
